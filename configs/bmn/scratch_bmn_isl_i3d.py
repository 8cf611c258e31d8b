# Control: a SoLa of the same shape trained along from scratch, without Similarity Matching.
_base_ = 'bmn_isl_i3d.py'

model = dict(neck=dict(type='SoLa', in_channels=1024, frozen=False))
