"""A wheel in an environment of its own does from an empty folder what docs/install.md shows.

PyTorch and the rest are those of this environment, lent by a path; mmsola is that of the wheel.
"""

import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile

import pytest
from shipped_configs import ROOT

pytestmark = pytest.mark.slow

GUIDE = ROOT / 'docs' / 'install.md'
# what makes the guide's configs small
SOLA = (
    'model.neck.in_channels=8 model.neck.hidden_channels=8 model.head.in_channels=8 '
    'model.head.predictor_channels=8 train_dataloader.batch_size=8 train_cfg.max_epochs=2 '
    'train_cfg.val_interval=2 custom_hooks.1.num_videos=0'
)
NECK = 'model.neck.in_channels=8 model.neck.hidden_channels=8'
BMN = (
    'model.feat_dim=8 model.temporal_dim=16 model.hidden_dim_1d=8 model.hidden_dim_2d=8 '
    'model.hidden_dim_3d=8 train_dataloader.batch_size=4 train_cfg.max_epochs=1 '
    'train_cfg.val_interval=1'
)
ACTIONFORMER = (
    'model.feat_dim=8 model.channels=8 model.num_levels=3 train_dataloader.batch_size=4 '
    f'train_cfg.max_epochs=1 train_cfg.val_interval=1 {NECK}'
)
# compare trains BMN twice, without SoLa and with it
COMMANDS = f"""
demo-data data/mine --num-training 10 --num-validation 4 --num-channels 8
train sola_mine.py --seed 0 --cfg-options {SOLA}
train sola_actionformer_mine.py --cfg-options {ACTIONFORMER}
export sola_mine.py work_dirs/sola_mine/best_*.pth data/mine/sola_features --cfg-options {SOLA}
infer data/mine/features/demo_0012.npy --config sola_actionformer_mine.py \
    --checkpoint work_dirs/sola_actionformer_mine/epoch_1.pth \
    --ann-file data/mine/annotations.json --cfg-options {ACTIONFORMER}
compare bmn_mine.py sola_bmn_mine.py --seeds 0 --options-for sola_bmn_mine {NECK} \
    --cfg-options {BMN}
"""

# Runs in every process of the environment. `allowed` are the packages that are lent.
WATCH = """
import sys

def watch(event, arguments):
    if event in ('open', 'os.listdir', 'os.scandir') and isinstance(arguments[0], str):
        path = arguments[0]
        if path.startswith({clone!r}) and not path.startswith({allowed!r}):
            sys.stderr.write('READ FROM THE CLONE: ' + path + '\\n')

sys.addaudithook(watch)
"""

# All in one process, as far as it goes: starting one takes most of the time.
DRIVER = """
import sys
import mmsola
from mmsola import console
print(mmsola.__file__)
for command in {commands!r}:
    console.main(command)
"""


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    """A copy of the files that git knows, beside some that it does not; without git, of all."""
    source = tmp_path_factory.mktemp('source') / 'mmsola'
    if (ROOT / '.git').exists():
        command = ['git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard']
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        for name in filter(None, listed.stdout.split('\0')):
            if (ROOT / name).is_file():
                (source / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, source / name)
        git = ['git', '-c', 'user.name=a', '-c', 'user.email=a@b']
        for arguments in (['init', '-q'], ['add', '-A'], ['commit', '-q', '-m', 'all']):
            subprocess.run([*git, *arguments], cwd=source, check=True)
    else:
        for name in ('configs', 'tools', 'mmsola', 'docs', 'tests'):
            shutil.copytree(ROOT / name, source / name)
        for file in ROOT.iterdir():
            if file.is_file():
                shutil.copyfile(file, source / file.name)
    for stray in ('configs/bmn/stray.py', 'data/demo/x.py', 'work_dirs/x.py', 'tools/stray.py'):
        (source / stray).parent.mkdir(parents=True, exist_ok=True)
        (source / stray).write_text('a = 1\n')
    # what an older build left
    (source / 'build' / 'lib' / 'mmsola').mkdir(parents=True)
    (source / 'build' / 'lib' / 'mmsola' / 'stray.py').write_text('a = 1\n')
    return source


@pytest.fixture(scope='module')
def wheels(source):
    """The wheel that is built from the source, and that from an sdist of it."""
    code = "from setuptools import build_meta; print(build_meta.build_sdist('../sdist'))"
    run([sys.executable, '-c', code], source)
    (sdist,) = source.with_name('sdist').iterdir()
    return [build(source, 'wheel'), build(sdist, 'wheel-of-sdist')]


def build(what, folder):
    out = what.parent / folder
    options = ['--no-deps', '--no-build-isolation', '--no-index', '--wheel-dir']
    run([sys.executable, '-m', 'pip', 'wheel', '-q', *options, out, what], what.parent)
    (wheel,) = out.iterdir()
    return wheel


def run(command, folder, **env):
    done = subprocess.run(
        [*map(str, command)],
        cwd=folder,
        env={'PATH': '/usr/bin:/bin', 'HOME': str(folder), 'CUDA_VISIBLE_DEVICES': '', **env},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]
    return done


@pytest.fixture(scope='module')
def environment(wheels, tmp_path_factory):
    """An environment with the wheel of the sdist, which says what it reads from the clone."""
    folder = tmp_path_factory.mktemp('environment')
    venv.create(folder, with_pip=False)
    python = folder / 'bin' / 'python'
    options = ['--no-deps', '--no-index', '--no-compile']
    pip = [sys.executable, '-m', 'pip', '--python', python, 'install', '-q', *options]
    run([*pip, wheels[1]], folder)
    (packages,) = folder.glob('lib/python*/site-packages')
    lent = {sysconfig.get_path('purelib'), sysconfig.get_path('platlib')}
    # a path in a .pth file: the .pth files there, of an editable mmsola for one, are not followed
    (packages / 'lent.pth').write_text('\n'.join(lent))
    watch = WATCH.format(clone=f'{ROOT}/', allowed=tuple(lent))
    # no sitecustomize.py: Debian's Python has one of its own, which would be taken instead
    (packages / 'watch_clone.py').write_text(watch)
    (packages / 'watch_clone.pth').write_text('import watch_clone\n')
    return folder


def contents(wheel):
    with zipfile.ZipFile(wheel) as file:
        return {name: file.read(name) for name in file.namelist() if 'dist-info' not in name}


def test_a_wheel_has_the_package_and_what_openmim_looks_for(source, wheels):
    direct, of_sdist = map(contents, wheels)
    assert direct.keys() == of_sdist.keys()
    assert all(direct[name] == of_sdist[name] for name in direct)
    known = {
        f'mmsola/.mim/{path.relative_to(source)}'
        for folder in ('configs', 'tools')
        for path in (source / folder).rglob('*')
        if path.is_file() and path.stem != 'stray'
    }
    assert {name for name in direct if '/.mim/' in name} == {
        *known,
        'mmsola/.mim/model-index.yml',
    }
    assert {name.split('/')[0] for name in direct} == {'mmsola'}
    modules = {str(path.relative_to(source)) for path in (source / 'mmsola').rglob('*.py')}
    others = {'mmsola/py.typed', 'mmsola/commit.txt'}
    assert modules | others <= direct.keys() and 'mmsola/stray.py' not in direct
    if (source / '.git').exists():
        head = run(['git', 'rev-parse', '--short=7', 'HEAD'], source).stdout.strip()
        assert direct['mmsola/commit.txt'].decode() == head


def test_building_leaves_nothing_that_git_sees(source, wheels):
    if not (source / '.git').exists():
        pytest.skip('not a clone')
    status = run(['git', 'status', '--porcelain', '-uall'], source).stdout.splitlines()
    assert sorted(status) == ['?? configs/bmn/stray.py', '?? tools/stray.py']


def test_the_model_index_lists_every_metafile():
    listed = re.findall(r'^ +- (.+)$', (ROOT / 'model-index.yml').read_text(), re.MULTILINE)
    assert listed == sorted(str(p.relative_to(ROOT)) for p in ROOT.glob('configs/*/metafile.yml'))


def test_the_guide_works_from_an_empty_folder(environment, tmp_path):
    blocks = re.findall(r'^```python\n# (\w+\.py)(.*?)^```', GUIDE.read_text(), re.M | re.S)
    for name, text in blocks:
        (tmp_path / name).write_text(f'# {name}{text}')
    commands = [line.split() for line in COMMANDS.splitlines() if line]
    python = environment / 'bin' / 'python'
    of_clone = run([python, '-c', f'open({str(ROOT / "setup.py")!r})'], tmp_path)
    assert 'READ FROM THE CLONE' in of_clone.stderr  # who watches is there
    driver = DRIVER.format(commands=commands)
    done = run([python, '-c', driver], tmp_path, OMP_NUM_THREADS='1')
    assert done.stdout.splitlines()[0].startswith(str(environment))
    training_logs = [path.read_text() for path in tmp_path.rglob('train.log')]
    assert len(training_logs) == 2
    for text in (done.stdout, done.stderr, *training_logs):
        assert 'READ FROM THE CLONE' not in text, text[-3000:]
    assert len(list((tmp_path / 'data/mine/sola_features').glob('*.npy'))) == 14
    for made in ('infer/results.json', 'infer/demo_0012.png', 'compare/compare.csv'):
        assert (tmp_path / 'work_dirs' / made).exists()
    listed = run([environment / 'bin' / 'mmsola', 'configs', 'bmn_demo'], tmp_path)
    assert f'{environment}/lib' in listed.stdout and 'mmsola::bmn/bmn_demo.py' in listed.stdout
