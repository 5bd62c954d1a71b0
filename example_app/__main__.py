"""``python -m example_app [configfile]``."""

import argparse
import sys

from tgscheduler.errors import ConfigError


def main() -> None:
    """Start the server; report an error in its configuration or database in one line."""
    parser = argparse.ArgumentParser(prog="python -m example_app", description="A shop whose jobs run by tgscheduler.")
    parser.add_argument("configfile", nargs="?", help="read over the application's app.cfg (default: its own dev.cfg)")
    configfile = parser.parse_args().configfile
    try:
        import sqlalchemy.exc
    except ImportError:
        sys.exit("example_app: SQLAlchemy is missing; pip install 'tgscheduler[example]' brings it")

    from example_app import commands

    try:
        commands.start(configfile)
    except ConfigError as error:
        sys.exit(f"example_app: {error}")
    except (sqlalchemy.exc.DBAPIError, sqlalchemy.exc.ArgumentError, ModuleNotFoundError) as error:
        reason = str(error).strip().splitlines()[0]
        sys.exit(f"example_app: the database of example.database cannot be used: {reason}")


if __name__ == "__main__":
    main()
