"""Hooks of mkdocs.yml: pages that are made of files outside docs/, and links that lead out of docs/.

On a code host each link is a path in the checkout. On the site a link to a page stays one, and a link to any other file leads
to the code host, whose address is the Repository of [project.urls] in pyproject.toml. Without one, its text alone stays.
"""

import json
import os
import re
import tomllib
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parent.parent

MADE_OF = {
    "index.md": "README.md",
    "contributing.md": "CONTRIBUTING.md",
    "security.md": "SECURITY.md",
    "changelog.md": "CHANGELOG.md",
    "examples/quickstart.md": "examples/quickstart.ipynb",
    "examples/your_own_method.md": "examples/your_own_method.ipynb",
}
"""The pages that have their text from elsewhere."""

LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")
BLOCK = re.compile(r"(^ *```.*?^ *```$)", re.MULTILINE | re.DOTALL)


def on_config(config):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    config.repo_url = project.get("urls", {}).get("Repository")
    return config


def on_files(files, config):
    for page, origin in MADE_OF.items():
        text = (ROOT / origin).read_text("utf-8")
        files.append(
            File.generated(config, page, content=notebook(text) if origin.endswith(".ipynb") else text)
        )
    return files


def on_page_markdown(markdown, page, config, files):
    """Links as the site has them; blocks of code are left as they are."""
    origin = ROOT / MADE_OF.get(page.file.src_uri, f"docs/{page.file.src_uri}")

    def rewritten(link):
        return site_link(link, origin.parent, page.file.src_uri, config.repo_url)

    parts = BLOCK.split(markdown)
    return "".join(part if i % 2 else LINK.sub(rewritten, part) for i, part in enumerate(parts))


def site_link(link, folder, page, repository):
    picture, text, target = link.groups()
    path, hash_sign, anchor = target.partition("#")
    if not path or re.match(r"[a-z]+:", path):
        return link[0]
    found = Path(os.path.normpath(folder / path)).relative_to(ROOT).as_posix()
    pages = {origin: made for made, origin in MADE_OF.items()}
    if re.fullmatch(r"[\w./-]+\.md", text):
        # A code host shows the name of a file; a reader of the site knows pages by their titles.
        text = re.search(r"^# (.*)$", (ROOT / found).read_text("utf-8"), re.MULTILINE)[1]
    there = pages.get(found) or (found.removeprefix("docs/") if found.startswith("docs/") else None)
    if there:
        path = os.path.relpath(there, Path(page).parent)
    elif repository:
        path = f"{repository}/blob/main/{found}"
    else:
        return text
    return f"{picture}[{text}]({path}{hash_sign}{anchor})"


def notebook(text):
    """A notebook as Markdown: its cells, and what they gave."""
    parts = []
    for cell in json.loads(text)["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        for output in cell["outputs"]:
            data = output.get("data", {})
            if "text/html" in data:
                # A blank line would end the HTML; a class would keep the theme's style off a table.
                html = re.sub(r"<table [^>]*>", "<table>", "".join(data["text/html"]))
                parts.append(re.sub(r"\n\s*\n", "\n", html))
            else:
                shown = "".join(data.get("text/plain", output.get("text", "")))
                parts.append(f"```text\n{shown}\n```")
    return "\n\n".join(parts)
