"""The configuration files in docs/proxies, with the addresses of a test in place of the documented ones."""

import re

from programs import ROOT, write

PAGES = ROOT / "docs" / "proxies"

# A code block whose first line is a comment that names the file.
BLOCK = re.compile(r"^```\w+\n(?:#|--) (?P<name>[\w.-]+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def files(page, names, replacements, directory):
    """Writes the files `names` of a page into `directory`.

    Each documented text of `replacements` must be in one of the files, so that a test cannot pass because it changed nothing.
    """
    blocks = {found["name"]: found["text"] for found in BLOCK.finditer((PAGES / page).read_text())}
    unused = set(replacements)
    paths = {}
    for name in names:
        text = blocks[name]
        for documented, actual in replacements.items():
            if documented in text:
                unused.discard(documented)
                text = text.replace(documented, str(actual))
        paths[name] = write(directory / name, text)
    assert not unused, f"{page} no longer has {sorted(unused)}"
    return paths
