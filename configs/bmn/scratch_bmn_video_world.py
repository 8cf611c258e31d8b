# Control: a SoLa of the same shape trained along from scratch, without Similarity Matching.
_base_ = 'bmn_video_world.py'

model = dict(neck=dict(type='SoLa', in_channels=64, hidden_channels=64, frozen=False))
