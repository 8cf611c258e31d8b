# Control: a SoLa of the same shape trained along from scratch, without Similarity Matching.
_base_ = 'bmn_charades_clip.py'

model = dict(neck=dict(type='SoLa', in_channels=512, frozen=False))
