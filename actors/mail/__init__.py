"""What makes a good e-mail: its form, its signature, the way out of it, and its bounces."""
