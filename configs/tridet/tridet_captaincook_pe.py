# TriDet on cooking recordings of about 12 minutes, 117 named steps. Small enough for a CPU.
_base_ = '../actionformer/actionformer_captaincook_pe.py'

model = dict(
    type='TriDet',
    backbone=dict(_delete_=True, mlp_channels=256, init_std=0.2),
)
