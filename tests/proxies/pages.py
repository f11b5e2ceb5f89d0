"""The configuration files in docs/proxies, with the addresses of a test in place of the documented ones."""

import re

from programs import ROOT, write

PAGES = ROOT / "docs" / "proxies"

# A code block whose first line is a comment that names the file.
BLOCK = re.compile(r"^```\w+\n(?:#|--) (?P<name>[\w.-]+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def text(page, name):
    """Returns the file `name` of a page."""
    blocks = {found["name"]: found["text"] for found in BLOCK.finditer((PAGES / page).read_text())}
    return blocks[name]


def files(page, names, replacements, directory):
    """Writes the files `names` of a page into `directory`.

    Each documented text of `replacements` must be in one of the files, so that a test cannot pass because it changed nothing.
    """
    unused = set(replacements)
    paths = {}
    for name in names:
        content = text(page, name)
        for documented, actual in replacements.items():
            if documented in content:
                unused.discard(documented)
                content = content.replace(documented, str(actual))
        paths[name] = write(directory / name, content)
    assert not unused, f"{page} no longer has {sorted(unused)}"
    return paths
