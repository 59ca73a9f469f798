"""The plugin's entry point: Pulumi runs this file to use the components from any language."""

from astro_pulumi.pulumi_plugin import serve

if __name__ == "__main__":
    serve()
