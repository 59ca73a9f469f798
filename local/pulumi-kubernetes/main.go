// The Kubernetes provider of Pulumi, from its published Go module.
//
// The module's own main embeds two files that a release build generates. They are made of two files that
// the module holds; `local/binaries.py` puts those in their place while it builds.
package main

import (
	_ "embed"

	"github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/provider"
	"github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/version"
)

//go:embed schema.json
var schema []byte

//go:embed terraform-mapping.json
var terraformMapping []byte

func main() {
	provider.Serve("kubernetes", version.Version, schema, terraformMapping)
}
