# The same with one snippet in four seconds.
_base_ = ['sola_pretrain_captaincook_pe.py', '../_base_/datasets/captaincook_pe_4s.py']

fit = dict(_base_.fit, **_base_.thin)
score = dict(_base_.score, **_base_.thin)

train_dataloader = dict(dataset=_base_.thin)
val_dataloader = dict(dataset=dict(datasets=[fit, score]))
test_dataloader = val_dataloader
