package main

import "runtime/debug"

// build says what was built.
type build struct {
	Version string `json:"version"` // of the module, or "(devel)"
	Commit  string `json:"commit,omitempty"`
	Go      string `json:"go"`
}

func version() build {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return build{Version: "unknown"}
	}
	b := build{Version: info.Main.Version, Go: info.GoVersion}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			b.Commit = s.Value
		}
	}
	return b
}
