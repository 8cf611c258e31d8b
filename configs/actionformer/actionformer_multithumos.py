# ActionFormer on MultiTHUMOS, 65 classes of which several happen at one time; I3D features, RGB and
# flow, of the videos of THUMOS14, as OpenTAD has it.
# mean of the mAP at tIoU 0.1 to 0.9: OpenTAD 39.19; measured: -
_base_ = 'actionformer_thumos14.py'

model = dict(
    num_classes=65,
    embedding=dict(num_convs=3, norm_eps=1e-6, mask_activations=True),
    backbone=dict(num_stem=0),
    pyramid=dict(norm_eps=1e-6),
    head=dict(norm_eps=1e-6, mask_activations=True),
    test_cfg=dict(top_k=8000, per_level=False, min_length=-1, nms=dict(max_segments=8000)),
)
several = dict(ann_file='annotations/multithumos_anno.json', ignored_classes=[])
train_dataloader = dict(dataset=dict(**several, subset='training'))
val_dataloader = dict(dataset=dict(**several, subset='validation'))
test_dataloader = val_dataloader
val_evaluator = dict(
    ann_file='data/thumos14/annotations/multithumos_anno.json',
    subset='validation',
    ignored_classes=[],
    max_proposals=8000,
    map_tiou_thresholds=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9],
)
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=65)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-8, begin=0, end=5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-8, begin=5, end=65, convert_to_iter_based=True),
]
