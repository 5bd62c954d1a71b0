"""Ask for a password, and print what goes into the configuration.

::

    $ python -m tgscheduler.console.passwords
    Password:
    Again:
    scrypt$32768$8$1$...
"""

import getpass
import sys

from tgscheduler.passwords import hash_password


def main() -> int:
    """Ask for a password twice, and print its hash; return the exit status."""
    password = getpass.getpass("Password: ")
    if not password or password != getpass.getpass("Again: "):
        sys.stderr.write("Expected the same password twice, of one character or more.\n")
        return 1
    sys.stdout.write(f"{hash_password(password)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
