// Holds a dashboard on standard input against Grafana's own schema: 1 and a line for each misfit if it is none.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func main() {
	plugins.RegisterDefaultPlugins()
	text, err := io.ReadAll(os.Stdin)
	var read dashboard.Dashboard
	if err == nil {
		err = read.UnmarshalJSONStrict(text)
	}
	// A list of errors that is empty is not nil here.
	if err == nil || err.Error() == "" {
		err = read.Validate()
	}
	if err != nil && err.Error() != "" {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
