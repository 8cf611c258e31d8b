"""What a file is that was given where a json file is expected."""

from __future__ import annotations

import os

_MAKE = 'make an annotation file of a table: mmsola annotations TABLE.csv VIDEOS OUT.json'


def refuse_other_kinds(path: str, error: type[ValueError]) -> None:
    """Stop at a table, a list, lines of json or a pickle, and say what to call.

    Raises:
        error: The file is one of these. Any other fault is left to the reader.
    """
    kind = _kind(path)
    if kind is not None:
        found, fix = kind
        raise error(f'{path}: is {found}\n  expected: a json annotation file\n  fix: {fix}')


def _kind(path: str) -> tuple[str, str] | None:
    if not os.path.isfile(path):
        return None
    with open(path, 'rb') as file:
        first_line = file.readline(1 << 16)
        next_byte = file.read(1 << 16).lstrip()[:1]
    suffix = os.path.splitext(path)[1].lower()
    if suffix in ('.pkl', '.pickle') or (
        first_line[:1] == b'\x80' and first_line[1:2] in b'\2\3\4\5'
    ):
        return (
            'a pickle, which can run any code when it is read',
            'if you trust where it comes from, write it as json: python -c "import json, pickle, '
            "sys; json.dump(pickle.load(open(sys.argv[1], 'rb')), open('annotations.json', 'w'))\" "
            f'{path}',
        )
    line = first_line.removeprefix(b'\xef\xbb\xbf').strip()
    if line[:1] == b'{' and line[-1:] == b'}' and next_byte == b'{':
        return (
            'lines of json (jsonl), one object a line',
            'write one object {name: {"duration": ..., "annotations": [...]}} instead',
        )
    if line[:1] in (b'{', b'[') or not line:
        return None
    if suffix in ('.csv', '.tsv') or any(mark in line for mark in (b',', b';', b'\t')):
        return 'a table (csv)', _MAKE
    if suffix == '.txt':
        return 'a text', _MAKE
    return None
