"""MkDocs hook: pages and docstrings that are written for GitHub and editors, read as well here.

On GitHub a page may link to any file of the repository; the site has only docs/ and the reference.
A link to a module leads to its reference, and of a link to any other file outside of docs/ the
text alone is left. Roles such as ``:class:`SoLa``` are shown without their name.
"""

from __future__ import annotations

import posixpath
import re

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

_LINK = re.compile(r'(?<!!)\[([^\]]*)\]\((\.\./[^)\s#]*)(#[^)\s]*)?\)')
_ROLE = re.compile(r':(?:class|func|meth|mod|data|attr):(?=<code>)')


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    folder = posixpath.dirname(page.file.src_uri)

    def inside(match: re.Match[str]) -> str:
        text, link = match[1], match[2]
        path = posixpath.normpath(posixpath.join('docs', folder, link))
        if path.startswith('docs/'):
            return match[0]
        for reference in (f'reference/{path.removesuffix(".py")}.md', f'reference/{path}/index.md'):
            if files.get_file_from_path(reference) is not None:
                return f'[{text}]({posixpath.relpath(reference, folder or ".")})'
        return text

    return _LINK.sub(inside, markdown)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    return _ROLE.sub('', html)
