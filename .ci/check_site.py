"""The built site loads nothing from elsewhere: python .ci/check_site.py [site]"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

#: What a browser fetches by itself; links that a reader may follow are not among it.
FETCHED = {
    "audio": ("src",), "embed": ("src",), "iframe": ("src",), "img": ("src", "srcset"),
    "link": ("href",), "object": ("data",), "script": ("src",), "source": ("src", "srcset"),
    "video": ("src", "poster"),
}  # fmt: skip
_ELSEWHERE = re.compile(r"^\s*(?:https?:)?//", re.IGNORECASE)
_IN_CSS = re.compile(r"(?:url\(|@import)\s*['\"]?\s*((?:https?:)?//[^'\")\s]+)", re.IGNORECASE)


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in FETCHED.get(tag, ()) and _ELSEWHERE.match(value or ""):
                self.found.append(f"<{tag} {name}={value}>")
            elif name == "style":
                self.found += _IN_CSS.findall(value or "")


def elsewhere(path: Path) -> list[str]:
    """What a page or style sheet has a browser fetch from another server."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".css":
        return _IN_CSS.findall(text)
    page = _Page()
    page.feed(text)
    return page.found


def main() -> int:
    site = Path(sys.argv[1] if len(sys.argv) > 1 else "site")
    files = [p for p in sorted(site.rglob("*")) if p.suffix in (".html", ".css")]
    if not files:
        print(f"{site}: holds no page; make docs builds it")
        return 1
    found = [f"{path}: {what}" for path in files for what in elsewhere(path)]
    print("\n".join([*found, f"{len(files)} pages and style sheets, {len(found)} loads elsewhere"]))
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
