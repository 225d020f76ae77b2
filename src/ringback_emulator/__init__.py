"""The emulated Retell and the emulated Engage.

They share no code with the product. A test that judges the product by them would otherwise share its errors.
"""
