"""What a reader finds on a page: its text and links; and a login that makes everybody a viewer."""

import re
from html import unescape
from html.parser import HTMLParser

#: Elements whose text is not read.
UNREAD = ("style", "script", "datalist")

#: Beside the words of a link to the page before or after.
ARROWS = " \u2039\u203a"


class _Text(HTMLParser):
    def __init__(self):
        super().__init__()
        self.parts, self.unread = [], 0

    def handle_starttag(self, tag, attrs):
        self.unread += tag in UNREAD
        self.parts.append(" ")

    def handle_endtag(self, tag):
        self.unread -= tag in UNREAD
        self.parts.append(" ")

    def handle_data(self, data):
        if not self.unread:
            self.parts.append(data)


def text_of(answer):
    """Return the text of a page's main part, its white space made one."""
    parser = _Text()
    parser.feed(answer.text.partition('<main id="main" tabindex="-1">')[2].partition("</main>")[0] or answer.text)
    return " ".join("".join(parser.parts).split())


def links(answer, words=None):
    """Return the addresses of a page's links below the mount; only of those whose text is ``words``, without arrows."""
    found = re.findall(r'<a [^>]*?href="([^"]*)"[^>]*>(.*?)</a>', answer.text, re.DOTALL)
    return [
        unescape(address).removeprefix("./").replace("../", "").partition("#")[0]
        for address, inner in found
        if words is None or " ".join(unescape(re.sub("<[^>]*>", " ", inner)).strip(ARROWS).split()) == words
    ]


def link(answer, words):
    """Return the address of the one link of that text."""
    found = dict.fromkeys(links(answer, words))
    assert len(found) == 1, (words, found)
    return next(iter(found))


def guest(request):
    """Log everybody in as a viewer."""
    return "guest", "viewer"
