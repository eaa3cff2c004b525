"""The platform's components. Whoever imports one, Pulumi's provider process too, can load what an old state names."""

from components import former_names

former_names.install()
