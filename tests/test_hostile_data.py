"""Files from strangers: nothing in them is executed, and nothing is read or written elsewhere."""

import json
import pickle
import threading
import time
import zipfile
from pathlib import Path

import h5py
import mmengine.runner.checkpoint as mmengine_checkpoint
import numpy as np
import pytest
import torch
from mmengine.runner import CheckpointLoader, Runner

import mmsola  # noqa: F401
from mmsola.apis.extraction import MANIFEST, ExtractionError, extract_features
from mmsola.apis.extraction_encoder import encoder_of
from mmsola.apis.plain_config import ConfigNotPlainError, check_plain, without_files
from mmsola.datasets.annotations import AnnotationError, load_annotations
from mmsola.datasets.features import check_cache
from mmsola.datasets.features.feature_bank import FeatureBank
from mmsola.datasets.features.feature_errors import FeatureError
from mmsola.datasets.features.feature_store import FeatureStore
from mmsola.datasets.transforms.proposals import LoadSnippetProposals
from mmsola.files.file_names import leads_out
from mmsola.models.checkpoint_file import CheckpointError, the_one_file
from mmsola.models.necks import SoLa
from mmsola.models.necks.sola_checkpoint import read_sola_weights
from mmsola.structures.submission import read_submission

PLAIN = {
    'type': 'Recognizer3D',
    'backbone': {
        'type': 'ResNet3dSlowFast',
        'norm_cfg': {'type': 'BN3d'},
        'slow_pathway': {'type': 'resnet3d', 'depth': 18},
    },
    'cls_head': {'type': 'TSNHead', 'consensus': {'type': 'AvgConsensus', 'dim': 1}},
    'data_preprocessor': {'type': 'ActionDataPreprocessor', '_scope_': 'mmaction'},
}
OUTSIDE = ['../outside', '/outside', 'a/../../b', '..', 'a\\..\\..\\b', 'C:\\outside', '']


def test_a_config_of_registered_modules_is_plain():
    check_plain(PLAIN, 'model')
    check_plain([{'type': 'Resize', 'scale': [-1, 64]}, {'type': 'FormatShape'}], 'pipeline')


@pytest.mark.parametrize(
    ('where', 'value'),
    [
        ('backbone', {'type': 'os.system', 'command': 'true'}),
        ('backbone', {'type': 'resnet3d'}),
        ('backbone', {'type': 'this'}),  # a module that is imported, and prints
        ('backbone', {'type': 'mmaction.models.ResNet3d'}),
        ('backbone', {'type': ['os.system']}),
        ('backbone', {'type': 'ResNet3d', 'norm_cfg': {'type': 'builtins.print'}}),
        ('backbone', {'type': 'ResNet3d', 'pretrained': 'https://example.org/a.pth'}),
        ('backbone', {'type': 'ResNet3d', 'init_cfg': [{'type': 'Pretrained'}]}),
        ('data_preprocessor', {'type': 'subprocess.run', 'args': ['true']}),
        ('data_preprocessor', {'type': 'ActionDataPreprocessor', '_scope_': 'os'}),
        ('custom_imports', {'imports': ['this']}),
    ],
)
def test_a_config_that_names_code_or_files_is_refused(where, value):
    with pytest.raises(ConfigNotPlainError, match=rf'model\.{where}'):
        check_plain({**PLAIN, where: value}, 'model')


def test_what_names_files_is_not_written_into_data():
    cfg = {**PLAIN, 'backbone': {**PLAIN['backbone'], 'pretrained': 'x.pth', 'init_cfg': {}}}
    assert without_files(cfg) == PLAIN


@pytest.mark.parametrize('key', ['model', 'frame_pipeline', 'snippet_pipeline'])
def test_a_manifest_runs_nothing(tmp_path, key):
    marker = tmp_path / 'marker'
    call = {'type': 'os.system', 'command': f'touch {marker}'}
    content = {'model': PLAIN, 'frame_pipeline': [], 'snippet_pipeline': [], 'checkpoint': 'x.pth'}
    content[key] = {**PLAIN, 'backbone': call} if key == 'model' else [call]
    (tmp_path / MANIFEST).write_text(json.dumps(content))
    with pytest.raises(ConfigNotPlainError, match=key):
        encoder_of(tmp_path)
    assert not marker.exists()


class _Payload:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


def test_a_checkpoint_of_an_address_is_not_unpickled(tmp_path, monkeypatch):
    marker, source = tmp_path / 'marker', tmp_path / 'evil.pth'
    source.write_bytes(pickle.dumps({'state_dict': _Payload(marker)}))
    # a file that was downloaded before is not asked for again: no network
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'hub'))
    cached = tmp_path / 'hub' / 'hub' / 'checkpoints' / 'evil.pth'
    cached.parent.mkdir(parents=True)
    cached.write_bytes(source.read_bytes())
    assert mmengine_checkpoint.load_url.keywords == {'weights_only': True}
    with pytest.raises(pickle.UnpicklingError):
        CheckpointLoader.load_checkpoint('https://example.invalid/evil.pth', 'cpu')
    assert not marker.exists()


@pytest.mark.parametrize('kind', [str, Path])
@pytest.mark.parametrize('use', [the_one_file, read_sola_weights, SoLa.from_checkpoint])
def test_an_address_is_no_checkpoint_file(use, kind):
    with pytest.raises(CheckpointError, match='https://example.org/a.pth: .*\n.*\n.*download it'):
        use(kind('https://example.org/a.pth'))


@pytest.mark.parametrize('name', OUTSIDE)
def test_no_name_leads_out_of_its_folder(tmp_path, name):
    assert leads_out(name)
    annotations = tmp_path / 'annotations.json'
    annotations.write_text(json.dumps({name: {'duration_second': 1.0, 'annotations': []}}))
    with pytest.raises(AnnotationError, match='leads out'):
        load_annotations(annotations)

    np.save(tmp_path / 'outside.npy', np.ones((3, 2), np.float32))
    (tmp_path / 'features').mkdir()
    np.save(tmp_path / 'features' / 'inside.npy', np.ones((3, 2), np.float32))
    store = FeatureStore(tmp_path / 'features')
    for use in (store.read, store.shape, lambda name: store.check([name]), store.path):
        with pytest.raises(FeatureError, match='leads out'):
            use(name)


@pytest.mark.parametrize('name', ['abc', 'v_a..b', 'train/abc', '.hidden', 'zwei Wörter 東'])
def test_other_names_stay(name):
    assert not leads_out(name)


class _Encoder:
    def settings(self):
        return {}


def test_an_extraction_writes_nothing_outside(tmp_path):
    out = tmp_path / 'out'
    with pytest.raises(ExtractionError, match=r"'\.\./outside'"):
        extract_features(_Encoder(), {'../outside': tmp_path / 'outside.mp4'}, out)
    assert not list(tmp_path.iterdir())


def write_features(folder: Path, kind: str, values: np.ndarray) -> Path:
    """A container with one video ``a``; the path that a feature store takes."""
    folder.mkdir()
    if kind == 'pt':
        torch.save(torch.from_numpy(values), folder / 'a.pt')
    elif kind == 'npz':
        np.savez_compressed(folder / 'a.npz', values)
    elif kind == 'npy':
        np.save(folder / 'a.npy', values)
    else:
        with h5py.File(folder / 'a.h5', 'w') as file:
            file.create_dataset('a', data=values, compression='gzip')
        return folder / 'a.h5'
    return folder


@pytest.mark.parametrize('kind', ['npy', 'npz', 'pt', 'h5'])
def test_a_damaged_file_is_named_or_read_as_it_was(tmp_path, kind):
    values = np.random.default_rng(0).standard_normal((7, 4)).astype(np.float32)
    root = write_features(tmp_path / kind, kind, values)
    file = root if root.is_file() else root / f'a.{kind}'
    whole = file.read_bytes()
    draw = np.random.default_rng(1)
    for round_ in range(60):
        damaged = bytearray(whole)
        if round_ % 3:
            damaged[draw.integers(min(len(whole), 2048))] ^= 1 << draw.integers(8)
        else:
            damaged = damaged[: draw.integers(len(whole))]
        file.write_bytes(bytes(damaged))
        try:
            read = FeatureStore(root, cache=False).read('a')
        except FeatureError as error:
            assert str(root) in str(error)
        else:
            assert read.nbytes < 1e6


def test_small_files_that_claim_much_are_refused(tmp_path):
    (tmp_path / 'pt').mkdir()
    torch.save(torch.zeros(1).expand(1 << 20, 1 << 16), tmp_path / 'pt' / 'a.pt')
    (tmp_path / 'npz').mkdir()
    np.savez_compressed(tmp_path / 'npz' / 'a.npz', np.zeros((1 << 13, 1 << 12), np.float32))
    with h5py.File(tmp_path / 'a.h5', 'w') as file:
        file.create_dataset('a', (1 << 24, 1 << 15), 'f4', chunks=(16, 16))
    for root in ('pt', 'npz', 'a.h5'):
        store = FeatureStore(tmp_path / root, cache=False)
        for use in (store.shape, store.read):
            with pytest.raises(FeatureError, match=f'{root}.*(claims|holds)'):
                use('a')


def test_a_header_that_says_fewer_rows_is_damage(tmp_path):
    np.save(tmp_path / 'a.npy', np.ones((3, 2), np.float32))
    with (tmp_path / 'a.npy').open('ab') as file:
        file.write(bytes(8))
    with pytest.raises(FeatureError, match=r'a\.npy.*holds 32 bytes, shape \(3, 2\) takes 24'):
        FeatureStore(tmp_path).shape('a')


def test_hdf5_reads_no_other_file(tmp_path):
    secret = tmp_path / 'secret'
    secret.write_bytes(np.ones((3, 2), np.float32).tobytes())
    with h5py.File(tmp_path / 'other.h5', 'w') as file:
        file['group/a'] = np.ones((3, 2), np.float32)
    with h5py.File(tmp_path / 'a.h5', 'w') as file:
        file.create_dataset('external', (3, 2), 'f4', external=[(str(secret), 0, 24)])
        file['link'] = h5py.ExternalLink('other.h5', 'group/a')
        file['group'] = h5py.ExternalLink('other.h5', 'group')
    store = FeatureStore(tmp_path / 'a.h5')
    for name in ('external', 'link', 'group/a'):
        for use in (store.shape, store.read):
            with pytest.raises(FeatureError, match='another file'):
                use(name)


def test_each_real_folder_is_visited_once(tmp_path):
    (tmp_path / 'features' / 'deep').mkdir(parents=True)
    np.save(tmp_path / 'features' / 'deep' / 'a.npy', np.ones((3, 2), np.float32))
    (tmp_path / 'elsewhere').mkdir()
    np.save(tmp_path / 'elsewhere' / 'b.npy', np.ones((3, 2), np.float32))
    for name, target in (
        ('self', 'features'),
        ('again', 'features'),
        ('deep/up', 'features'),
        ('also_deep', 'features/deep'),
        ('linked', 'elsewhere'),
    ):
        (tmp_path / 'features' / name).symlink_to(tmp_path / target, target_is_directory=True)
    assert FeatureStore(tmp_path / 'features').names() == ['deep/a', 'linked/b']


def test_one_bad_entry_does_not_block_an_hdf5_file(tmp_path):
    with h5py.File(tmp_path / 'a.h5', 'w') as file:
        file['good'] = np.ones((3, 2), np.float32)
        file['dangling'] = h5py.SoftLink('/nowhere')
        file['linked'] = h5py.ExternalLink('none.h5', 'a')
        file['empty'] = h5py.Empty('f4')
        file['type'] = np.dtype('f4')
        file['group/inner'] = np.ones((3, 2), np.float32)
        file['group/itself'] = file['group']
        file['group/top'] = file['/']
    store = FeatureStore(tmp_path / 'a.h5')
    bad = ['dangling', 'empty', 'linked', 'type']
    assert store.names() == sorted([*bad, 'good', 'group/inner'])
    assert store.read('good').shape == (3, 2)
    with pytest.raises(FeatureError, match='4 of 6 videos cannot be used') as caught:
        store.check(progress=False)
    assert all(f'a.h5::{name}' in str(caught.value) for name in bad)


NUMBERS = ['3', '-3', '3.', '.5', '-.5', '1.5e-09', '1e+09', '-0.25', '2e5', '1E-3', ' 4', '+4']
NO_NUMBERS = ['1-2', '-', '1.5e-', '', '.', '-.', 'e5', '1e', '1.2.3', '1e-2e-3', '1e-.5', '--1']
NO_NUMBERS += ['#5', '1_0', '0x1', '1e+', '5#', '1e5.2', '..5', '1.e', 'e', '"3"', '1 2', 'x']
NOT_FINITE = ['1e+099', '1e+99', 'nan', 'inf', '-Infinity', '9' * 40, '1e+0999', '9999999e+33']


@pytest.mark.parametrize('field', [*NUMBERS, *NO_NUMBERS, *NOT_FINITE])
@pytest.mark.parametrize('first', [True, False])
def test_check_and_read_of_csv_have_one_grammar(tmp_path, field, first):
    row = f'{field},1.5' if first else f'1.5,{field}'
    (tmp_path / 'a.csv').write_text(f'0.5,0.25\n{row}\n')
    store = FeatureStore(tmp_path, cache=False)
    if field in NUMBERS:
        store.check(progress=False)
        assert store.read('a')[1, int(not first)] == np.float32(field)
        return
    with pytest.raises(FeatureError, match=r'a\.csv'):
        store.check(progress=False)
    if field in NO_NUMBERS:
        with pytest.raises(FeatureError, match=r'a\.csv.*no table of numbers'):
            store.read('a')


def test_the_look_at_csv_text_agrees_with_the_parser(tmp_path):
    draw = np.random.default_rng(0)
    letters = np.array(list('0123456789.-+e,'))
    store, agreed = None, set()
    for _ in range(400):
        numbers = [f'{value:.9g}' for value in draw.standard_normal(4) * 1e-3]
        text = list(','.join(numbers))
        for _ in range(draw.integers(3)):
            text[draw.integers(len(text))] = str(draw.choice(letters))
        (tmp_path / 'a.csv').write_text('0.5\n' + ''.join(text) + '\n')
        store = store or FeatureStore(tmp_path, cache=False)
        plain = store._container.is_plainly_finite('a')
        try:
            values = [float(np.float32(float(field))) for field in ''.join(text).split(',')]
            is_finite = bool(np.isfinite(values).all())
        except ValueError:
            is_finite = False
        assert is_finite or not plain, ''.join(text)
        agreed.add(plain)
    assert agreed == {True, False}


@pytest.mark.parametrize('header', [',f0,f1\n', ',0,1\n', 'Unnamed: 0,a,b\n', ''])
def test_the_index_column_of_pandas_is_no_channel(tmp_path, header):
    rows = ''.join(f'{i},{0.5 + i},{0.25 * i}\n' for i in range(4))
    (tmp_path / 'a.csv').write_text(header + rows)
    store = FeatureStore(tmp_path, cache=False)
    for use in (store.shape, store.read):
        with pytest.raises(FeatureError, match=r'(?s)a\.csv.*first column counts.*index=False'):
            use('a')


def test_a_header_behind_a_number_sign_is_one_for_shape_and_read(tmp_path):
    (tmp_path / 'a.csv').write_text('# 0,1\n1.5,2\n3,4\n')
    store = FeatureStore(tmp_path, cache=False)
    assert store.shape('a') == (2, 2) and store.read('a').tolist() == [[1.5, 2], [3, 4]]


def test_resuming_does_not_run_the_config_in_a_checkpoint(tiny_config, tmp_path):
    tiny_config.train_cfg.max_epochs = 1
    Runner.from_cfg(tiny_config).train()
    checkpoint = torch.load(f'{tiny_config.work_dir}/epoch_1.pth')
    marker = tmp_path / 'marker'
    checkpoint['meta']['config'] = f'a = open({str(marker)!r}, "w").close()'
    torch.save(checkpoint, tmp_path / 'hostile.pth')
    tiny_config.merge_from_dict({'resume': True, 'load_from': str(tmp_path / 'hostile.pth')})
    tiny_config.train_cfg.max_epochs = 2
    tiny_config.experiment_name = 'resumed'
    Runner.from_cfg(tiny_config).train()
    assert not marker.exists()
    assert (Path(tiny_config.work_dir) / 'epoch_2.pth').exists()


# Weights, results and caches ----------------------------------------------------------------------


def sola_weights(**changes):
    return {**SoLa(4, hidden_channels=3).state_dict(), **changes}


@pytest.mark.parametrize(
    ('key', 'value', 'message'),
    [
        ('alpha', torch.tensor([float('nan')]), 'alpha holds NaN'),
        ('alpha', torch.tensor([float('inf')]), 'alpha holds infinite'),
        ('alpha', torch.tensor([1]), 'alpha is torch.int64'),
        ('alpha', torch.tensor(0.5), r'alpha is .* of shape \(\)'),
        ('conv_network.0.weight', torch.zeros(3), 'conv_network.0.weight is .*3 axes'),
        ('conv_network.0.weight', torch.zeros(3, 4, 3).to_sparse(), 'is sparse'),
        ('conv_network.0.weight', torch.zeros(1).expand(3, 4, 3), 'claims .* stores less'),
        ('conv_network.2.bias', torch.zeros(3, dtype=torch.complex64), 'complex64'),
    ],
)
def test_weights_that_make_no_sense_are_named_when_they_are_read(tmp_path, key, value, message):
    torch.save({'state_dict': sola_weights(**{key: value})}, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match=rf'(?s)a\.pth: .*{message}'):
        SoLa.from_checkpoint(tmp_path / 'a.pth')


ENTRY = {'segment': [1, 2], 'score': 0.5, 'label': 'jump'}


@pytest.mark.parametrize(
    'entry',
    [
        {**ENTRY, 'segment': [float('nan'), 2]},
        {**ENTRY, 'segment': [0, float('inf')]},
        {**ENTRY, 'segment': [2, 1]},
        {**ENTRY, 'segment': [1, 2, 3]},
        {**ENTRY, 'segment': [1, 10**400]},
        {**ENTRY, 'score': float('nan')},
        {**ENTRY, 'score': None},
        {'segment': [1, 2]},
        [1, 2, 3],
        None,
    ],
)
def test_results_that_make_no_sense_are_named(tmp_path, entry):
    file = tmp_path / 'results.json'
    file.write_text(json.dumps({'results': {'a': [ENTRY, entry]}}))
    with pytest.raises(ValueError, match=r'results\.json: not a file of results \(video a'):
        read_submission(file)
    with pytest.raises(ValueError, match=r'results\.json: not a file of proposals \(video a'):
        LoadSnippetProposals(str(file))


def test_a_video_twice_in_one_file_of_results_is_refused(tmp_path):
    file = tmp_path / 'results.json'
    file.write_text('{"results": {"a": [], "b": [], "a": []}}')
    with pytest.raises(ValueError, match=r"results\.json: .*'a' occurs 2 times"):
        read_submission(file)


def test_numbers_as_text_are_numbers_in_results(tmp_path):
    file = tmp_path / 'results.json'
    file.write_text(json.dumps({'results': {'a': [{'segment': ['18.6', '24.8'], 'score': '0.5'}]}}))
    found = read_submission(file)['a']
    assert found.segments.tolist() == [[18.6, 24.8]] and found.scores.tolist() == [0.5]


@pytest.mark.parametrize('damage', ['cut', 'other shape', 'other type', 'empty', 'pickle'])
def test_a_damaged_bank_is_made_again(tmp_path, damage, log_lines):
    (tmp_path / 'features').mkdir()
    np.save(tmp_path / 'features' / 'a.npy', np.ones((5, 3), np.float32))
    store = FeatureStore(tmp_path / 'features')

    def bank():
        return FeatureBank(
            [(store, 'a')], device='cpu', memory_share=0, spill_dir=str(tmp_path / 'banks')
        )

    path = bank().path
    whole = path.read_bytes()
    if damage == 'other shape':
        np.save(path, np.ones((4, 3), np.float32))
    elif damage == 'other type':
        np.save(path, np.ones((5, 3), np.float64))
    elif damage == 'pickle':
        path.write_bytes(pickle.dumps([1]))
    else:
        path.write_bytes(whole[: 0 if damage == 'empty' else -4])
    assert bank().read('a', 0, 5).tolist() == np.ones((5, 3)).tolist()
    assert path.read_bytes() == whole
    assert any('is damaged, and is made again' in line for line in log_lines)


def test_who_waits_for_a_bank_learns_that_its_writing_failed(tmp_path, monkeypatch):
    (tmp_path / 'features').mkdir()
    np.save(tmp_path / 'features' / 'a.npy', np.full((5, 3), 1e6, np.float32))
    store = FeatureStore(tmp_path / 'features')
    settings = dict(
        dtype='float16', device='cpu', memory_share=0, spill_dir=str(tmp_path / 'banks')
    )
    outcomes = []

    def build():
        try:
            FeatureBank([(store, 'a')], **settings)
        except FeatureError as error:
            outcomes.append(str(error))

    monkeypatch.setenv('LOCAL_RANK', '1')
    waiting = threading.Thread(target=build, daemon=True)
    waiting.start()
    time.sleep(0.5)
    monkeypatch.setenv('LOCAL_RANK', '0')
    build()
    waiting.join(20)
    assert not waiting.is_alive()
    assert len(outcomes) == 2 and outcomes[0] == outcomes[1]
    assert 'half precision' in outcomes[0]


@pytest.mark.parametrize('content', [b'', b'{', b'[]', b'[' * 100_000, b'{"passed": {"a": [1]}}'])
def test_a_damaged_cache_of_checks_is_not_used(tmp_path, content):
    settings = {'root': str(tmp_path)}
    check_cache.save(settings, {'a': check_cache.Passed(1, 2, 3, 4, True)})
    assert check_cache.load(settings)
    Path(check_cache._file(settings)).write_bytes(content)
    assert check_cache.load(settings) == {}


def test_archives_that_unpack_to_more_than_they_are_are_refused(tmp_path):
    (tmp_path / 'features').mkdir()
    torch.save(torch.zeros(1000, 1000), tmp_path / 'plain.pt')
    torch.save({'state_dict': sola_weights()}, tmp_path / 'plain.pth')
    for plain, packed in (('plain.pt', 'features/a.pt'), ('plain.pth', 'packed.pth')):
        with (
            zipfile.ZipFile(tmp_path / plain) as source,
            zipfile.ZipFile(tmp_path / packed, 'w', zipfile.ZIP_DEFLATED) as target,
        ):
            for name in source.namelist():
                target.writestr(name, source.read(name))
    assert (tmp_path / 'features' / 'a.pt').stat().st_size < 20_000
    for use in ('read', 'shape'):
        with pytest.raises(FeatureError, match=r'a\.pt.*is compressed'):
            getattr(FeatureStore(tmp_path / 'features'), use)('a')
    SoLa.from_checkpoint(tmp_path / 'plain.pth')
    with pytest.raises(CheckpointError, match=r'packed\.pth: .* is compressed'):
        SoLa.from_checkpoint(tmp_path / 'packed.pth')


def test_a_chunk_larger_than_its_entry_is_not_read(tmp_path):
    with h5py.File(tmp_path / 'a.h5', 'w') as file:
        file.create_dataset(
            'a', data=np.ones((3, 2), 'f4'), maxshape=(None, 2), chunks=(1 << 26, 2),
            compression='gzip',
        )  # fmt: skip
    assert (tmp_path / 'a.h5').stat().st_size < 1 << 20
    with pytest.raises(FeatureError, match='claims 536870912 bytes'):
        FeatureStore(tmp_path / 'a.h5').read('a')
