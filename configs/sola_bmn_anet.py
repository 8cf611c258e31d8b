_base_ = 'bmn/sola_bmn_anet.py'
