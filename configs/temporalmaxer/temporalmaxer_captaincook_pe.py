# TemporalMaxer on cooking recordings of about 12 minutes, 117 named steps. Small enough for a CPU.
_base_ = '../actionformer/actionformer_captaincook_pe.py'

model = dict(
    type='TemporalMaxer',
    backbone=dict(_delete_=True),
)
