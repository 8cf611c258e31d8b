# ActionFormer on features of the generated videos, see _base_/datasets/video_world.py.
_base_ = ['../_base_/one_stage_small.py', '../_base_/datasets/video_world.py']

model = dict(feat_dim=64, num_classes=8, channels=64, max_snippets=256)
train_dataloader = dict(batch_size=8, dataset=_base_.training)
val_dataloader = dict(dataset=_base_.validation)
test_dataloader = val_dataloader
