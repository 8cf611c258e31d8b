"""Distributed jobs and mixed precision work on a CPU."""

import socket
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from test_compat import config_of, output_of, run_python

from mmsola.engine import mixed_precision
from mmsola.engine.cpu_process_group import init_cpu_process_group
from mmsola.engine.mixed_precision import enable_amp


def test_two_processes_train_one_model(tmp_path):
    """Each sees a number of its own; both end with the step along the mean gradient."""
    code = f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import os
        from test_compat import CompatNumbers
        from test_without_gpu import *
        rank = int(os.environ['RANK'])
        cfg = config_of({str(tmp_path)!r}, launcher='pytorch')
        cfg.model_wrapper_cfg = None
        cfg.optim_wrapper.optimizer = dict(type='SGD', lr=0.5)
        CompatNumbers.__getitem__ = lambda self, index: dict(inputs=torch.full((1,), float(index)))
        assert init_cpu_process_group(cfg) and init_cpu_process_group(cfg)
        runner = Runner.from_cfg(cfg)
        runner.train()
        print(torch.distributed.get_world_size(), runner.model.module.weight.item())
    """
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        meeting = dict(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(free.getsockname()[1]))
    ranks = [dict(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE='2') for rank in range(2)]
    processes = [run_python(code, env={**meeting, **rank}) for rank in ranks]
    # inputs 0 and 1, weight 0: gradients 0 and -2, their mean -1, learning rate 0.5
    assert [output_of(process)[0].splitlines()[-1] for process in processes] == ['2 0.5'] * 2


def test_the_process_group_is_left_before_the_interpreter_goes_down():
    """Its threads would still be running then, and end one process of many in SIGABRT."""
    code = """
        import atexit
        import torch
        from mmsola.engine.cpu_process_group import init_gloo
        atexit.register(lambda: print(torch.distributed.is_initialized()))
        init_gloo('pytorch')
        print(torch.distributed.is_initialized())
    """
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = str(free.getsockname()[1])
    alone = dict(MASTER_ADDR='127.0.0.1', MASTER_PORT=port, RANK='0', LOCAL_RANK='0')
    process = run_python(code, env={**alone, 'WORLD_SIZE': '1'})
    assert output_of(process)[0].splitlines()[-2:] == ['True', 'False']


def test_one_process_gets_no_process_group():
    cfg = Config(dict(launcher='none'))
    assert not init_cpu_process_group(cfg)
    assert 'model_wrapper_cfg' not in cfg and not torch.distributed.is_initialized()


@pytest.mark.parametrize('launcher', ['pytorch', 'slurm', 'mpi'])
def test_launcher_that_did_not_launch_is_named(launcher, monkeypatch):
    for name in ('RANK', 'SLURM_PROCID', 'OMPI_COMM_WORLD_RANK'):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(RuntimeError, match=f"launcher '{launcher}' expects .*RANK|PROCID"):
        init_cpu_process_group(Config(dict(launcher=launcher)))


def test_amp_trains_in_bfloat16_on_cpu(tmp_path):
    cfg = config_of(tmp_path)
    cfg.optim_wrapper.update(loss_scale='dynamic', dtype='float16')
    enable_amp(cfg)
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert set(runner.model.seen) == {torch.bfloat16}
    assert runner.model.weight.dtype == torch.float32 and runner.model.weight.item() > 0


@pytest.mark.parametrize(
    ('dtype', 'scale'),
    [('bfloat16', {'enabled': False}), ('float16', 'dynamic'), (None, 'dynamic')],
)
def test_amp_looks_for_a_loss_scale_only_where_there_is_need_of_one(monkeypatch, dtype, scale):
    monkeypatch.setattr(mixed_precision, 'get_device', lambda: 'cuda')
    wrapper = dict(type='OptimWrapper', **(dict(dtype=dtype) if dtype else {}))
    cfg = Config(dict(optim_wrapper=wrapper))
    enable_amp(cfg)
    assert cfg.optim_wrapper.type == 'AmpOptimWrapper' and cfg.optim_wrapper.loss_scale == scale


def test_amp_does_not_replace_a_wrapper_of_the_users():
    with pytest.raises(ValueError, match='ApexOptimWrapper'):
        enable_amp(Config(dict(optim_wrapper=dict(type='ApexOptimWrapper'))))
