"""A study: what its file may say, which runs it has, and what its tables make of them."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from scipy import stats
from test_measured_videos import generated_videos
from warm_processes import run_tool

from mmsola.apis import study as study_api
from mmsola.apis.study import plan_table, run_study
from mmsola.apis.study_comparisons import FinishedRuns, pretrainings_and_gains
from mmsola.engine.config_file import read_config
from mmsola.engine.placeholders import filled, names_in
from mmsola.engine.run_config_error import RunConfigError
from mmsola.engine.seed_runs import Running, SeedRun, SeedRunError
from mmsola.engine.study_config import read_study
from mmsola.engine.study_part import StudyError
from mmsola.engine.study_runs import runs_of
from mmsola.evaluation.localization_metric import LocalizationMetric
from mmsola.files.folder_lock import only_writer
from mmsola.structures.labelled_segments import LabelledSegments
from mmsola.visualization.curves import draw_curves

ROOT = Path(__file__).parents[1]
LOCALIZER = """
model = dict(type='TemporalSmoothing', kernel_size=3)
train_cfg = dict(max_epochs=8)
train_dataloader = dict(batch_size=2, dataset=dict(type='SnippetFeatureDataset'))
val_evaluator = dict(type='LocalizationMetric')
"""
PRETRAINING = """
train_cfg = dict(max_epochs=10)
val_evaluator = dict(type='LinearProbe')
default_hooks = dict(checkpoint=dict(save_best='probe/auc'))
"""
FIGURES = ['loc/class_agnostic_AP', 'loc/AR@10']


@pytest.fixture
def settings(tmp_path):
    """A study of one row: a baseline, two main arms and a control of one of them."""
    (tmp_path / 'localizer.py').write_text(LOCALIZER)
    (tmp_path / 'pretraining.py').write_text(PRETRAINING)
    return dict(
        name='small',
        pretrainings=dict(sola=dict(config=str(tmp_path / 'pretraining.py'))),
        arms=dict(
            plain=dict(),
            smooth=['model.kernel_size={width}'],
            sola=dict(load_from='{checkpoint}', tag='{share} of {seed}'),
            late=dict(load_from='{sola}'),
        ),
        baseline='plain',
        main_arms=['sola', 'late'],
        controls=dict(sola=['smooth']),
        few_seeds=dict(late=1),
        seeds=[3, 1],
        figures=FIGURES,
        shares=[1.0, 0.25],
        rows=[
            dict(
                set='set',
                localizer='BMN',
                config=str(tmp_path / 'localizer.py'),
                options=dict(train_cfg=dict(val_interval=2)),
                values=dict(width=5, checkpoint='{sola}'),
            )
        ],
    )


def runs(settings, folder, **more):
    return runs_of(read_study(Config(settings)), folder, **more)


# The file -----------------------------------------------------------------------------------------


def test_the_shipped_study_is_read():
    study = read_study('mmsola::study/study_demo.py')
    assert study.name == 'demo' and [row.name for row in study.rows] == ['demo_BMN']


def test_what_stands_at_the_top_holds_for_rows_that_do_not_say_it(settings):
    other = dict(settings['rows'][0], set='other', arms=['plain', 'smooth'], seeds=[7])
    settings['rows'] += [other]
    first, second = read_study(Config(settings)).rows
    assert (first.seeds, second.seeds) == ((3, 1), (7,))
    assert first.main_arms == ('sola', 'late') and first.seeds_of('late') == (3,)
    # of arms that a row has not, nothing is left
    assert (second.main_arms, second.few_seeds, second.controls) == ((), {}, {})
    assert second.pairs(1.0) == [('smooth', 'plain')]
    assert {('sola', 'plain'), ('sola', 'smooth')} < set(first.pairs(1.0))


def test_an_arm_may_have_fewer_shares_and_is_compared_where_both_have_them(settings, tmp_path):
    settings['few_shares'] = dict(smooth=[1.0], late=[0.25])
    planned = runs(settings, tmp_path, build_models=False).runs
    assert {run.share for run in planned if run.arm == 'smooth'} == {1.0}
    assert {run.share for run in planned if run.arm == 'late'} == {0.25}
    assert {run.share for run in planned if run.arm == 'sola'} == {1.0, 0.25}
    (row,) = read_study(Config(settings)).rows
    assert ('sola', 'smooth') in row.pairs(1.0) and ('late', 'plain') not in row.pairs(1.0)
    assert row.pairs(0.25) == [('sola', 'plain'), ('late', 'plain')]


def test_options_of_a_row_lie_over_those_of_the_study(settings, tmp_path):
    settings['rows'][0]['arms'] = dict(
        plain={}, smooth=dict(model=dict(padding='{width}')), sola=['load_from=other.pth']
    )
    found = {run.arm: run.run.cfg for run in runs(settings, tmp_path, build_models=False).runs}
    assert found['smooth'].model == dict(type='TemporalSmoothing', kernel_size=5, padding=5)
    assert found['sola'].load_from == 'other.pth'


def test_an_own_variable_of_the_file_begins_with_an_underscore(settings, tmp_path):
    file = tmp_path / 'study.py'
    file.write_text('_seeds = [0]\n' + ''.join(f'{k} = {v!r}\n' for k, v in settings.items()))
    assert read_study(file).name == 'small'
    file.write_text(file.read_text().replace('_seeds', 'my_seeds'))
    with pytest.raises(StudyError, match=r'study\.py: the study: has the unknown key my_seeds\n'):
        read_study(file)


ROW = 'rows.0.'


@pytest.mark.parametrize(
    ('key', 'value', 'message'),
    [
        ('figure', ['loc/AUC'], 'unknown key figure\n.*\n.*write figures'),
        (ROW + 'basline', 'plain', 'row set_BMN: has the unknown key basline\n.*\n.*baseline'),
        (ROW + 'seed', [1], 'unknown key seed'),
        ('pretrainings.sola.epochs', 3, r'pretrainings\.sola: has the unknown key epochs'),
        ('pretrainings.sola.options', dict(a='{width}'), r'options have \{width\}'),
        ('pretrainings.sola.seeds', [3], r'arm sola: needs the pretraining sola .* seeds \[1\]'),
        ('pretrainings.seed', dict(config='a.py'), 'is called seed'),
        ('baseline', 'none', 'baseline has the unknown arm none'),
        ('main_arms', ['sol'], 'main_arms has the unknown arm sol'),
        ('controls', dict(sola=['smoth']), 'controls has the unknown arm smoth'),
        (ROW + 'few_seeds', dict(lat=1), 'few_seeds has the unknown arm lat'),
        (ROW + 'arms', ['plain', 'solo'], 'arms has the unknown arm solo\n.*plain, smooth, sola'),
        (ROW + 'arms', ['plain'], 'two or more'),
        ('few_seeds', dict(plain=1), 'few_seeds has the baseline'),
        ('few_seeds', dict(late=0), 'few_seeds has 0 for late'),
        ('few_shares', dict(plain=[1.0]), 'few_shares has the baseline'),
        ('few_shares', dict(lat=[1.0]), 'few_shares has the unknown arm lat'),
        ('few_shares', dict(late=[0.5]), r'few_shares has \[0\.5\] for late'),
        ('few_shares', dict(late=[]), r'few_shares of late is \[\]'),
        ('arms.smooth', ['kernel_size'], 'arm smooth: --cfg-options kernel_size: has no value'),
        ('arms.smooth', 3, r'arm smooth is 3\n'),
        ('arms.smooth', dict(a='{missing}'), r'arm smooth: has \{missing\}, which is no pretraini'),
        (ROW + 'values', dict(width=5), r'arm sola: has \{checkpoint\}, which is no pretraining'),
        (ROW + 'values', dict(sola=5), 'names of no pretraining'),
        ('seeds', [1, 1], r'seeds is \[1, 1\]'),
        ('seeds', [True], r'seeds is \[True\]'),
        ('shares', [0.0], r'shares is \[0\.0\]'),
        ('shares', [1.5], r'shares is \[1\.5\]'),
        ('figures', [], r'figures is \[\]'),
        (ROW + 'set', '../outside', "set is '../outside'"),
        ('name', 'a/b', "name is 'a/b'"),
        ('rows', [], 'has no rows'),
        ('rows', 3, 'rows is 3'),
    ],
)
def test_what_cannot_be_is_found_when_the_file_is_read(key, value, message, settings):
    *path, last = key.replace('rows.0', 'rows').split('.')
    part = settings
    for name in path:
        part = part[name][0] if name == 'rows' else part[name]
    part[last] = value
    with pytest.raises(StudyError, match=message) as caught:
        read_study(Config(settings))
    assert '\n  expected: ' in str(caught.value) and '\n  fix: ' in str(caught.value)


@pytest.mark.parametrize('key', ['set', 'config', 'baseline', 'seeds', 'figures', 'arms'])
def test_what_is_missing_is_named(key, settings):
    for part in (settings, settings['rows'][0]):
        part.pop(key, None)
    with pytest.raises(StudyError, match=f'has no {key}'):
        read_study(Config(settings))


def test_a_row_stands_there_once(settings):
    settings['rows'] *= 2
    with pytest.raises(StudyError, match='two rows with the set and localizer of set_BMN'):
        read_study(Config(settings))


def test_a_placeholder_alone_is_its_value():
    values = {'a': 3, 'b': [1]}
    options = {'x': '{a}', 'y': ['{a}/{b}', '{b}'], 'z': 4, 'empty': '{}'}
    assert filled(options, values) == {'x': 3, 'y': ['3/[1]', [1]], 'z': 4, 'empty': '{}'}
    assert names_in(options) == {'a', 'b'}


# The runs -----------------------------------------------------------------------------------------


def test_baseline_and_main_arms_come_first_seed_after_seed(settings, tmp_path):
    settings['shares'] = [1.0]
    settings['arms']['more'] = {}
    settings['few_seeds'] = {}
    found = runs(settings, tmp_path, build_models=False)
    assert [(run.arm, run.run.seed) for run in found.runs] == [
        *((arm, seed) for seed in (3, 1) for arm in ('plain', 'smooth', 'sola', 'late')),
        *(('more', seed) for seed in (3, 1)),
    ]
    # only what is needed, in that order
    assert [(p.name, p.run.seed) for p in found.pretrainings] == [('sola', 3), ('sola', 1)]


def test_the_config_of_a_run_says_all_that_it_is(settings, tmp_path):
    found = {run.name: run for run in runs(settings, tmp_path, build_models=False).runs}
    whole, part = (found['set_BMN', share, 'sola', 1].run for share in (1.0, 0.25))
    checkpoint = f'{tmp_path}/pretrainings/sola/seed_1/best_*.pth'
    assert (whole.cfg.load_from, whole.cfg.tag) == (checkpoint, '1.0 of 1')
    assert whole.cfg.train_cfg == dict(max_epochs=8, val_interval=2)
    assert whole.cfg.train_dataloader.dataset == dict(type='SnippetFeatureDataset')
    # as many steps, of other videos for each seed
    inner = dict(type='SnippetFeatureDataset', label_share=0.25, share_seed=1)
    assert part.cfg.train_dataloader.dataset == dict(type='RepeatDataset', times=4, dataset=inner)
    assert whole.folder == tmp_path / 'runs' / 'set_BMN' / 'share_1' / 'sola' / 'seed_1'
    written = Config.fromfile(whole._write_config())
    assert written.val_evaluator.measured_file == f'{whole.folder}/measured.npz'


def test_a_data_set_that_is_repeated_is_repeated_more(settings, tmp_path):
    inner = dict(type='SnippetFeatureDataset')
    repeated = dict(_delete_=True, type='RepeatDataset', times=3, dataset=inner)
    settings['rows'][0]['options'] = dict(train_dataloader=dict(dataset=repeated))
    found = {run.name: run for run in runs(settings, tmp_path, build_models=False).runs}
    cfg = found['set_BMN', 0.25, 'plain', 3].run.cfg
    assert cfg.train_dataloader.dataset == dict(
        type='RepeatDataset', times=12, dataset=dict(inner, label_share=0.25, share_seed=3)
    )


def test_a_run_of_another_pretraining_is_another_run(settings, tmp_path):
    def digests():
        found = runs(settings, tmp_path, build_models=False).runs
        return {run.arm: run.run.settings() for run in found}

    before = digests()
    settings['pretrainings']['sola']['options'] = dict(train_cfg=dict(max_epochs=11))
    after = digests()
    assert {arm for arm in before if before[arm] != after[arm]} == {'sola', 'late'}


def test_what_does_not_fit_is_found_before_the_first_training(settings, tmp_path, monkeypatch):
    def check(error, message):
        with pytest.raises(error, match=message):
            run_study(Config(settings), tmp_path / 'work')
        assert not (tmp_path / 'work').exists()

    monkeypatch.setattr(study_api, 'train_all', lambda *_, **__: pytest.fail('trained'))
    settings['arms']['smooth'] = dict(model=dict(kernel_sise=5))
    check(StudyError, r'set_BMN, arm smooth: its model cannot be built: .*kernel_sise')
    settings['arms']['smooth'] = {'model.9.type': 'SoLa', 'train_cfg.max_epochs.more': 1}
    check(StudyError, 'set_BMN, arm smooth: .*do not fit')
    settings['arms']['smooth'] = {}
    (tmp_path / 'pretraining.py').write_text('val_evaluator = dict()\ntrain_cfg = dict()')
    check(RunConfigError, r'pretraining\.py: needs validation and one figure to choose')
    (tmp_path / 'localizer.py').write_text('train_cfg = dict(max_epochs=1)')
    check(RunConfigError, r'localizer\.py: has no validation')


def test_a_run_of_other_settings_is_refused_before_the_first_training(
    settings, tmp_path, monkeypatch
):
    last = runs(settings, tmp_path).runs[-1].run
    last._write_config()
    monkeypatch.setattr(study_api, 'train_all', lambda *_, **__: pytest.fail('trained'))
    settings['rows'][0]['options'] = dict(num_threads=2)
    with pytest.raises(SeedRunError, match=f'{last.folder}: was trained with another config'):
        run_study(Config(settings), tmp_path)


def test_rows_and_their_pretrainings_are_chosen_by_name(settings, tmp_path):
    other = dict(settings['rows'][0], set='other', localizer='TEM', arms=['plain', 'smooth'])
    settings['rows'] += [other]
    found = runs(settings, tmp_path, build_models=False)
    assert found.only([]) == found
    for name in ('other', 'TEM', 'other_TEM'):
        chosen = found.only([name])
        assert {run.row.name for run in chosen.runs} == {'other_TEM'}
        assert not chosen.pretrainings
    assert len(found.only(['BMN']).pretrainings) == 2
    with pytest.raises(StudyError, match='--only tem: no such .*\n.*TEM, other, other_TEM, set'):
        found.only(['tem'])


# The tables ---------------------------------------------------------------------------------------


def finish(run, validations, seconds=60.0):
    """As if it had been trained."""
    log = run.folder / 'now' / 'vis_data' / 'scalars.json'
    log.parent.mkdir(parents=True)
    log.write_text('\n'.join(json.dumps({'step': e, **v}) for e, v in validations.items()))
    (run.folder / 'cost.json').write_text(json.dumps({'seconds': seconds, 'memory_mb': 1.0}))


def finish_localizer(run, scale):
    """A run whose proposals lie nearer to the segments with a smaller scale."""
    truth, found = generated_videos(labelled=False, num_videos=12)
    rng = np.random.default_rng(run.run.seed)
    moved = {
        name: LabelledSegments(
            np.sort(video.segments + rng.normal(scale=scale, size=video.segments.shape), axis=1),
            video.labels,
            video.scores,
        )
        for name, video in found.items()
    }
    metric = LocalizationMetric(measured_file=str(run.run.folder / 'measured.npz'))
    last = {f'loc/{name}': value for name, value in metric.measure(truth, moved).items()}
    early = {name: value - 1 - run.run.seed for name, value in last.items()}
    finish(run.run, {2: early, 6: early, 8: last})
    return last


@pytest.fixture
def finished(settings, tmp_path):
    """Of the study: all runs with all labels but one, of the control; one run with few labels."""
    settings['few_seeds'] = {}
    settings['seeds'] = [3, 1, 2]
    found = runs(settings, tmp_path, build_models=False)
    values = {}
    for run in found.runs:
        baseline_of_a_quarter = run.share < 1 and (run.arm, run.run.seed) == ('plain', 3)
        if (run.share == 1 and (run.arm, run.run.seed) != ('smooth', 2)) or baseline_of_a_quarter:
            scale = {'plain': 1.5, 'smooth': 4.0, 'sola': 0.01, 'late': 1.4}[run.arm]
            values[run.name] = finish_localizer(run, scale)
    for pretraining in found.pretrainings:
        seed = pretraining.run.seed
        chosen = {'probe/auc': 0.9, 'tsm/x': -float(seed), 'probe/auc_smoothed': 0.1}
        finish(pretraining.run, {5: chosen, 10: {'probe/auc': 0.8, 'tsm/x': 0.0}})
    return values


def test_differences_are_paired_and_every_comparison_is_there(settings, tmp_path, finished):
    found = FinishedRuns(runs(settings, tmp_path, build_models=False).runs, 500).comparisons()
    # 3 arms against the baseline and one against its control, 2 figures, 2 shares
    assert len(found) == 16
    by_name = {(c.share, c.figure, c.arm, c.reference): c for c in found}
    figure = FIGURES[0]
    for arm, reference, seeds in (('sola', 'plain', (3, 1, 2)), ('sola', 'smooth', (3, 1))):
        c = by_name[1.0, figure, arm, reference]
        before, after = (
            np.array([finished['set_BMN', 1.0, name, seed][figure] for seed in seeds])
            for name in (reference, arm)
        )
        low, high = stats.ttest_rel(after, before).confidence_interval(0.95)
        assert c.seeds == seeds and c.is_main and c.has_interval
        assert (c.difference.mean, c.difference.low) == pytest.approx(
            ((after - before).mean(), low)
        )
        assert c.video_low < c.difference.mean < c.video_high and c.num_videos == 12
    assert not by_name[1.0, figure, 'smooth', 'plain'].is_main
    assert by_name[0.25, figure, 'sola', 'plain'].difference is None


def test_the_interval_over_videos_is_that_of_the_mean_over_seeds(settings, tmp_path, finished):
    """An arm with the same proposals has no difference, whichever videos are drawn."""
    found = runs(settings, tmp_path, build_models=False).runs
    same = {run.run.seed: run for run in found if (run.share, run.arm) == (1.0, 'late')}
    for run in found:
        if (run.share, run.arm) == (1.0, 'plain'):
            for file in ('measured.npz', 'now/vis_data/scalars.json'):
                copied = (run.run.folder / file).read_bytes()
                (same[run.run.seed].run.folder / file).write_bytes(copied)
    rows = FinishedRuns(found, 500).comparisons()
    (c,) = (c for c in rows if (c.share, c.figure, c.arm) == (1.0, FIGURES[0], 'late'))
    assert (c.difference.mean, c.video_low, c.video_high) == (0, 0, 0)


def test_the_tables_say_what_was_compared_and_what_is_missing(settings, tmp_path, finished):
    result = run_study(Config(settings), tmp_path, train=False, num_resamples=500)
    assert result.tables == (tmp_path / 'tables.md').read_text().rstrip('\n')
    # 4 arms, 3 seeds, 2 shares
    assert '12 of 24 runs are finished' in result.tables
    assert 'Missing are 12 runs:' in result.tables
    assert '- set_BMN, all labels, smooth: 1' in result.tables
    assert '- set_BMN, 25 % of the labelled videos, plain: 2' in result.tables
    measured = [c for c in result.comparisons if c.has_interval]
    above = [c for c in measured if c.difference.low > 0]
    both = [c for c in above if c.video_low > 0]
    below = [c for c in measured if c.difference.high < 0]
    assert above and both and len(measured) == 8
    both_below = sum(c.video_high < 0 for c in below)
    assert (
        f'| all | 16 | 8 | {len(above)} | {len(below)} | 0.4 | {len(both)} | {both_below} |'
        in result.tables
    )
    assert 'main arms, declared in the config: sola, late.' in result.tables
    assert '| **sola** (main) | smooth |' in result.tables
    # the baseline: 1 + seed points since epoch 6, which is before the last quarter
    risen = r'\| plain \| loc/AR@10 \| .* \| 3 \| \+3\.00 ± 1\.00, since epoch 6 \|'
    assert re.search(risen, result.tables)

    with (tmp_path / 'summary.csv').open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 16
    for row, c in zip(rows, result.comparisons):
        assert (row['arm'], row['against'], row['figure']) == (c.arm, c.reference, c.figure)
        if c.difference is not None:
            assert float(row['mean']) == c.difference.mean
            assert float(row['video_low']) == pytest.approx(c.video_low)
    with (tmp_path / 'runs.csv').open() as file:
        kept = {(r['arm'], r['seed'], r['figure']): r['value'] for r in csv.DictReader(file)}
    assert float(kept['sola', '1', FIGURES[1]]) == finished['set_BMN', 1.0, 'sola', 1][FIGURES[1]]
    assert (tmp_path / 'curves_set_BMN.png').stat().st_size > 1000


def test_the_figures_of_a_pretraining_stand_beside_the_gain_of_its_run(
    settings, tmp_path, finished
):
    study = read_study(Config(settings))
    done = FinishedRuns(runs_of(study, tmp_path, build_models=False).runs, 500)
    figures, gains, groups = pretrainings_and_gains(done, study.rows[0], 1.0)
    figure = FIGURES[0]
    expected = {
        (arm, seed): finished['set_BMN', 1.0, arm, seed][figure]
        - finished['set_BMN', 1.0, 'plain', seed][figure]
        for seed in (3, 1, 2)
        for arm in ('sola', 'late')
    }
    assert gains == [expected[arm, seed] for seed in (3, 1, 2) for arm in ('sola', 'late')]
    # at the epoch that is chosen, of the run's own seed
    assert figures['tsm/x'] == [-3.0, -3.0, -1.0, -1.0, -2.0, -2.0]
    # the two arms of one seed have one pretraining
    assert [Path(group).name for group in groups] == [f'seed_{s}' for s in (3, 3, 1, 1, 2, 2)]
    (found,) = done.agreements(study)
    counts = {a.figure: (a.num_runs, a.num_groups) for a in found.found}
    assert counts == {'probe/auc': (6, 3), 'tsm/x': (6, 3)}
    assert found.figure == figure
    settings['pretraining_figures'] = ['tsm/x']
    (found,) = done.agreements(read_study(Config(settings)))
    assert [a.figure for a in found.found] == ['tsm/x']


def test_an_arm_with_statistics_only_says_nothing_of_a_pretraining(settings, tmp_path):
    checkpoint = dict(init_cfg=dict(type='Pretrained', checkpoint='{sola}'))
    statistics = dict(type='Standardize', in_channels=4, **checkpoint)
    settings['arms'] = dict(
        plain={},
        scaled=dict(neck=statistics),
        weights=dict(neck=dict(type='NeckSequence', necks=[statistics, checkpoint])),
    )
    for key in ('main_arms', 'controls', 'few_seeds'):
        settings.pop(key)
    by_arm = {run.arm: run for run in runs(settings, tmp_path, build_models=False).runs}
    # all but the baseline wait for it
    assert [len(by_arm[arm].pretrainings) for arm in by_arm] == [0, 1, 1]
    assert {arm: len(run.weights_of) for arm, run in by_arm.items()} == {
        'plain': 0,
        'scaled': 0,
        'weights': 1,
    }


def test_main_arms_stand_on_top_with_their_first_figure(settings, tmp_path, finished):
    result = run_study(Config(settings), tmp_path, train=False, num_resamples=500)
    top = result.tables.partition('## Main arms')[2].partition('\n## ')[0]
    rows = [line.split(' | ') for line in top.splitlines() if line.startswith('| set')]
    assert [(row[2], row[3], row[1]) for row in rows] == [
        ('sola', 'plain', FIGURES[0]),
        ('sola', 'smooth', FIGURES[0]),
        ('late', 'plain', FIGURES[0]),
    ]
    assert rows[0][0] == '| set, BMN, all labels'
    found = {
        (c.arm, c.reference): c
        for c in result.comparisons
        if (c.share, c.figure) == (1.0, FIGURES[0])
    }
    for row in rows:
        c = found[row[2], row[3]]
        is_above = min(c.difference.low, c.video_low) > 0
        assert row[-1] == ('above 0 |' if is_above else ' |')
    assert rows[0][4] == '{:.2f}'.format(
        np.mean([finished['set_BMN', 1.0, 'plain', seed][FIGURES[0]] for seed in (3, 1, 2)])
    )


def test_what_the_pretrainings_gain_is_tabulated(settings, tmp_path, finished):
    tables = run_study(Config(settings), tmp_path, train=False, num_resamples=500).tables
    row = '| probe/auc | smoothed | 0.1000 | 0.9000 | +0.8000 ± 0.0000 | [+0.8000, +0.8000] |'
    assert '### sola\n\nSeeds 3, 1, 2; epochs chosen by probe/auc.\n' in tables and row in tables
    settings['pretraining_figures'] = ['tsm/x']  # which has no reference
    tables = run_study(Config(settings), tmp_path, train=False, num_resamples=500).tables
    assert '## Pretrainings' not in tables


def test_missing_data_of_any_row_are_named_before_the_first_training(settings, tmp_path):
    (tmp_path / 'there.json').write_text('{}')
    names = (('first', 'there.json', '.'), ('last', 'gone_{seed}.json', 'lost'))
    for name, ann_file, features in names:
        dataset = dict(
            type='RepeatDataset',
            times=2,
            dataset=dict(
                data_root=str(tmp_path), ann_file=ann_file, data_prefix=dict(feature=features)
            ),
        )
        file = tmp_path / f'{name}.py'
        file.write_text(LOCALIZER + f'val_dataloader = dict(dataset={dataset!r})')
        settings['rows'].append(dict(settings['rows'][0], set=name, config=str(file)))
    with pytest.raises(StudyError, match=r'not there are .*gone_3\.json.*lost'):
        run_study(Config(settings), tmp_path / 'work')
    assert not (tmp_path / 'work').exists()


def test_two_studies_do_not_train_in_one_folder(settings, tmp_path):
    with (
        only_writer(tmp_path, StudyError, 'study'),
        pytest.raises(StudyError, match='another study works here'),
    ):
        run_study(Config(settings), tmp_path)
    (run, *_) = runs(settings, tmp_path).runs
    with (
        only_writer(run.run.folder, StudyError, 'training'),
        pytest.raises(SeedRunError, match='another training works here'),
    ):
        run.run.train(Running())


def test_without_a_finished_run_the_tables_say_so(settings, tmp_path):
    result = run_study(Config(settings), tmp_path, train=False)
    assert '0 of 14 runs are finished; 2 of 2 pretrainings are not.' in result.tables
    assert 'No run of the baseline is finished.' in result.tables


def test_a_figure_that_is_not_measured_is_named(settings, tmp_path, finished):
    settings['figures'] = ['loc/mAPP']
    with pytest.raises(StudyError, match=r"does not measure \['loc/mAPP'\]\n +expected: of .*AR@1"):
        FinishedRuns(runs(settings, tmp_path, build_models=False).runs)


def test_a_figure_that_is_not_measured_ends_the_study_after_its_first_run(
    settings, tmp_path, monkeypatch
):
    settings.update(figures=['loc/mAPP'], shares=[1.0])
    localizers, trained = {}, []

    def train(run, running, on_epoch):
        running.check()
        trained.append(run.folder.parent.name)
        if run.folder in localizers:
            finish_localizer(localizers[run.folder], 1.0)
        else:
            finish(run, {run.max_epochs: {'probe/auc': 0.5}})

    planned = runs(settings, tmp_path, build_models=False)
    localizers.update({run.run.folder: run for run in planned.runs})
    monkeypatch.setattr(SeedRun, 'train', train)
    for _ in range(2):  # also where that run is there already
        with pytest.raises(StudyError, match=r"does not measure \['loc/mAPP'\]"):
            run_study(Config(settings), tmp_path, num_resamples=500)
    # jobs are begun before the first is looked at, so a few may end
    assert trained[:3] == ['sola', 'sola', 'plain'] and len(trained) < 7


def test_videos_of_another_validation_are_refused(settings, tmp_path, finished):
    found = runs(settings, tmp_path, build_models=False).runs
    files = {run.arm: run.run.folder / 'measured.npz' for run in found if run.name in finished}
    files['sola'].write_bytes(files['late'].read_bytes())
    with pytest.raises(StudyError, match=r'measured\.npz: gives .*\n +expected: what was logged'):
        FinishedRuns(found, 500).comparisons()


def test_time_is_known_of_the_same_arm_or_row(settings, tmp_path):
    found = runs(settings, tmp_path, build_models=False)
    assert '16 runs, 0 finished' in plan_table(found) and '16 runs of unknown' in plan_table(found)
    finish(found.runs[0].run, {8: {'loc/AUC': 1.0}}, seconds=120)
    table = plan_table(found)
    assert '| set_BMN | all labels | plain | 2 | 1 | 2.0 | 2 |' in table
    assert '| set_BMN | all labels | late | 1 | 0 | 2.0 | 2 |' in table
    assert '16 runs, 1 finished; about 26 minutes left' in table
    assert 'and 2 runs of unknown time' in table  # the pretrainings


def test_curves_have_a_line_for_each_seed_and_a_mean():
    arms = {'plain': [{2: {'f': 1.0}, 4: {'f': 3.0}}, {2: {'f': 3.0}, 4: {'f': 4.0}}], 'none': []}
    picture = draw_curves({'all labels': arms}, ['f'], 'a set')
    drawn = [np.asarray(line.get_ydata()).tolist() for line in picture.axes[0].lines]
    assert drawn == [[1.0, 3.0], [3.0, 4.0], [2.0, 3.5]]


@pytest.mark.parametrize(('jobs', 'resamples'), [(0, 500), (1, 499)])
def test_too_few_jobs_or_resamples(jobs, resamples, settings, tmp_path):
    with pytest.raises(ValueError, match='run_study: .* or more'):
        run_study(Config(settings), tmp_path, jobs, num_resamples=resamples)


def test_a_failed_training_holds_up_no_other_arm(settings, tmp_path, monkeypatch, capsys):
    # a folder in the place of the config stops a training as surely as a full disk
    settings.update(shares=[1.0], seeds=[3], few_seeds={})
    planned = runs(settings, tmp_path, build_models=False)
    for run in planned.runs:
        if run.arm == 'smooth':
            (run.run.folder / 'config.py').mkdir(parents=True)
    localizers, trained = {run.run.folder: run for run in planned.runs}, []

    def train(run, running, on_epoch):
        with only_writer(run.folder, SeedRunError, 'training'):
            try:
                run._write_config()
            except OSError as error:
                raise SeedRunError(f'seed {run.seed} failed: {error}') from error
        trained.append(run.folder.parent.name)
        if run.folder in localizers:
            finish_localizer(localizers[run.folder], 1.0)
        else:
            finish(run, {run.max_epochs: {'probe/auc': 0.5}})

    monkeypatch.setattr(SeedRun, 'train', train)
    with pytest.raises(SeedRunError, match='1 of 4 trainings failed; first seed 3') as caught:
        run_study(Config(settings), tmp_path, num_resamples=500)
    assert sorted(trained) == ['late', 'plain', 'sola', 'sola']
    assert 'The other trainings go on.' in capsys.readouterr().err
    assert str(caught.value).endswith(f'Tables of the others: {tmp_path}')
    assert '3 of 4 runs are finished' in (tmp_path / 'tables.md').read_text()


@pytest.mark.slow
def test_study_end_to_end(demo_root, tmp_path, tiny_options):
    """The shipped study on smaller data; what is finished is kept."""
    cfg = read_config(ROOT / 'configs' / 'study' / 'study_demo.py')
    cfg.pretrainings.sola_demo.options = tiny_options
    cfg.arms.pop('smooth')
    cfg.pop('controls'), cfg.pop('few_seeds')
    sizes = dict(feat_dim=8, temporal_dim=16, hidden_dim_1d=8, hidden_dim_2d=8, hidden_dim_3d=8)
    cfg.rows[0].update(
        values=dict(channels=8),
        options=dict(
            model=sizes,
            train_cfg=dict(max_epochs=2, val_interval=1),
            train_dataloader=dict(batch_size=4),
        ),
    )
    cfg.dump(tmp_path / 'study.py')
    tool = ROOT / 'tools' / 'study.py'
    arguments = [tmp_path / 'study.py', '--work-dir', tmp_path / 'work']
    plan = run_tool(demo_root, tool, *arguments, '--dry-run')
    assert plan.returncode == 0 and '6 runs, 0 finished' in plan.stdout, plan.stderr
    assert not (tmp_path / 'work').exists()

    done = run_tool(demo_root, tool, *arguments, '--jobs', '2')
    assert done.returncode == 0, done.stderr
    tables = (tmp_path / 'work' / 'tables.md').read_text()
    assert tables.strip() in done.stdout
    assert '4 of 4 runs are finished; mmsola' in tables
    with (tmp_path / 'work' / 'summary.csv').open() as file:
        rows = list(csv.DictReader(file))
    assert [row['seeds'] for row in rows] == ['0 1'] * 3
    assert all(float(row['video_low']) <= float(row['video_high']) for row in rows)
    assert {row['num_videos'] for row in rows} == {'6'}

    # called again, nothing is trained, and the tables are the same
    logs = {path: path.stat().st_size for path in tmp_path.glob('work/**/train.log')}
    assert len(logs) == 6
    for more in ([], ['--tables']):
        again = run_tool(demo_root, tool, *arguments, *more)
        assert again.returncode == 0 and tables.strip() in again.stdout, again.stderr
    assert all(path.stat().st_size == size for path, size in logs.items())
