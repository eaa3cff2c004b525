"""Who may do what (least-privilege), and whom one trusts to act (trusted-by-name): one room a cloud."""
