"""Files of the repository's root on the site, from where they are: nothing is copied, and links are mended."""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PLACES = {path.name: path.name for path in (*sorted(ROOT.glob("*.md")), ROOT / "LICENSE")} | {"README.md": "readme.md"}
"""Where each lies on the site. A README.md would be its first page, which is index.md."""
FROM_ROOT = re.compile(r"""(\]\(|src=")(?:docs/)?([^)"#]+)""")
FROM_DOCS = re.compile(rf"(\]\((?:\.\./)*)\.\./({'|'.join(map(re.escape, PLACES))})")


def on_files(files: Files, config: Any) -> Files:
    for name, place in PLACES.items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    links = FROM_ROOT if page.file.src_uri in PLACES.values() else FROM_DOCS
    return links.sub(lambda link: link[1] + PLACES.get(link[2], link[2]), markdown)
