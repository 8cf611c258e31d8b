"""Distributed jobs on CPU, which MMEngine's launchers cannot begin."""

from __future__ import annotations

import atexit
import os
import subprocess
from datetime import timedelta

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import MODEL_WRAPPERS
from torch.nn.parallel import DistributedDataParallel


def init_cpu_process_group(cfg: Config) -> bool:
    """Join the ``gloo`` process group of a distributed job on CPU; call before the Runner is built.

    MMEngine's launchers always call ``torch.cuda.set_device`` and always give the model wrapper
    a device id, which both fail on a CPU. The Runner uses a group that exists already, and
    ``cfg.model_wrapper_cfg`` is set so that the model is wrapped without device ids.

    Args:
        cfg: Config of the Runner. ``launcher``, ``env_cfg.dist_cfg.timeout`` (seconds),
            ``find_unused_parameters`` and ``model_wrapper_cfg`` are read, the last one is changed.

    Returns:
        Whether this job is a distributed one on CPU; otherwise nothing was done.

    Raises:
        RuntimeError: The process was not started by the launcher that the config names.
    """
    launcher = cfg.get('launcher', 'none')
    if launcher == 'none' or get_device() != 'cpu':
        return False

    if cfg.get('model_wrapper_cfg') is None:
        # What Runner.wrap_model does by default, short of the device ids.
        cfg.model_wrapper_cfg = dict(
            type='MMDistributedDataParallel',
            broadcast_buffers=False,
            find_unused_parameters=cfg.get('find_unused_parameters', False),
        )
    wrapper = MODEL_WRAPPERS.get(cfg.model_wrapper_cfg.get('type', 'MMDistributedDataParallel'))
    if wrapper is not None and issubclass(wrapper, DistributedDataParallel):
        cfg.model_wrapper_cfg.setdefault('device_ids', None)

    timeout_sec = cfg.get('env_cfg', {}).get('dist_cfg', {}).get('timeout')
    init_gloo(launcher, None if timeout_sec is None else timedelta(seconds=timeout_sec))
    return True


def init_gloo(launcher: str, timeout: timedelta | None = None) -> None:
    """Join the ``gloo`` process group of a job that a launcher started, if that is not done yet.

    Raises:
        RuntimeError: The process was not started by that launcher.
    """
    if not torch.distributed.is_initialized():
        _export_rendezvous(launcher)
        torch.distributed.init_process_group('gloo', timeout=timeout)
        # its threads, still running while the interpreter goes down, end some processes in SIGABRT
        atexit.register(_leave_process_group)


def _leave_process_group() -> None:
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _export_rendezvous(launcher: str) -> None:
    """Set the variables that ``init_process_group`` and MMEngine read, as MMEngine does."""
    environ = os.environ
    try:
        if launcher == 'slurm':
            environ['RANK'] = environ['SLURM_PROCID']
            environ['WORLD_SIZE'] = environ['SLURM_NTASKS']
            environ['LOCAL_RANK'] = environ['SLURM_LOCALID']
            if 'MASTER_ADDR' not in environ:
                command = ['scontrol', 'show', 'hostnames', environ['SLURM_NODELIST']]
                hosts = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                environ['MASTER_ADDR'] = hosts.split()[0]
        elif launcher == 'mpi':
            environ['RANK'] = environ['OMPI_COMM_WORLD_RANK']
            environ['WORLD_SIZE'] = environ['OMPI_COMM_WORLD_SIZE']
            environ['LOCAL_RANK'] = environ['OMPI_COMM_WORLD_LOCAL_RANK']
        if launcher != 'pytorch':
            environ.setdefault('MASTER_PORT', '29500')  # the default of torch.distributed
        for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT'):
            environ[name]  # torchrun sets all five, for `pytorch`
    except KeyError as error:
        raise RuntimeError(
            f"launcher '{launcher}' expects the environment variable {error}, which is not set: "
            'start the job with torchrun for pytorch, srun for slurm, or mpirun (with MASTER_ADDR '
            "exported) for mpi, or train in one process with launcher 'none'"
        ) from None
