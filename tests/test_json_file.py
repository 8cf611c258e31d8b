"""One reader for json files of others: the content, or an error that names the file."""

import json

import pytest

from mmsola.files.json_file import is_number, is_positive, read_json, read_json_object


class OwnError(ValueError):
    pass


@pytest.mark.parametrize(
    ('content', 'found'),
    [
        (b'', 'is empty'),
        (b' \n', 'is empty'),
        (b'{"a": 1', 'is not valid json.* line 1, column 8'),
        (b'{"a": 1}x', 'is not valid json'),
        (b'\xff\xfe{', 'cannot be read as text in UTF-8'),
        (b'{"a": 1, "a": 2}', "key 'a' occurs 2 times"),
        (b'[' * 100_000, 'is nested too deeply|is not valid json'),
        (b'{"a": ' + b'9' * 10_000 + b'}', 'cannot be read'),
        (b'[]', 'holds a list'),
        (b'3', 'holds a int'),
    ],
)
def test_what_is_no_json_object_is_an_error_that_names_the_file(tmp_path, content, found):
    file = tmp_path / 'a.json'
    file.write_bytes(content)
    with pytest.raises(OwnError, match=rf'(?s)a\.json: {found}.*expected: facts\n  fix: '):
        read_json_object(file, OwnError, 'facts')


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path):
    with pytest.raises(OwnError, match='does not exist'):
        read_json(tmp_path / 'none.json', OwnError, 'facts')
    with pytest.raises(OwnError, match='is a folder'):
        read_json(tmp_path, OwnError, 'facts')


@pytest.mark.parametrize('mark', ['', '\ufeff'])
def test_content_is_read_as_it_was_written(tmp_path, mark):
    content = {'a': [1, 2.5, None, 'zwei Wörter']}
    (tmp_path / 'a.json').write_text(mark + json.dumps(content, ensure_ascii=False), 'utf-8')
    assert read_json(tmp_path / 'a.json', OwnError, 'facts') == content


@pytest.mark.parametrize('value', [True, None, '3', [3], 10**400])
def test_what_is_no_number(value):
    assert not is_number(value) and not is_positive(value)


@pytest.mark.parametrize(
    ('value', 'positive'), [(3, True), (0.5, True), (0, False), (-25, False), (float('inf'), False)]
)
def test_numbers(value, positive):
    assert is_number(value) and is_positive(value) == positive
