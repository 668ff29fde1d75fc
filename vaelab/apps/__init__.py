"""What is shown outside a notebook: `page`, one HTML file that runs a trained decoder, and
`dashboards`, the interactive views served without code.
"""
