"""The device that a user asks for, if the machine has it."""

from __future__ import annotations

import torch


class DeviceError(ValueError):
    """A device that this machine does not have."""


def named_device(device: str | torch.device) -> torch.device:
    """The device of a name, whether the machine has it or not.

    Raises:
        DeviceError: It is no name of a device.
    """
    try:
        return torch.device(device)
    except RuntimeError:
        raise DeviceError(f"device '{device}': no such device; expected cpu or cuda.") from None


def usable_device(device: str | torch.device) -> torch.device:
    """The device, where PyTorch can compute on it.

    Raises:
        DeviceError: There is no such device here.
    """
    found = named_device(device)
    if found.type != 'cuda':
        return found
    if not torch.cuda.is_available():
        raise DeviceError(
            f"device '{device}': PyTorch finds no GPU here; choose the device cpu, or install a "
            'PyTorch for CUDA and the driver of the GPU.'
        )
    if (found.index or 0) >= torch.cuda.device_count():
        last = torch.cuda.device_count() - 1
        raise DeviceError(f"device '{device}': the last GPU of this machine is cuda:{last}.")
    return found
