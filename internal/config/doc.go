// Package config reads the settings of Govidu's programs: flags, environment, a
// .env file and defaults, in that order of authority, into one struct per
// program. Names in the environment and the file are OpenVidu's own where it has
// one; ours begin with GOVIDU_.
//
// The struct tags are the only place a setting is described: --help and
// docs/configuration.md are made from them. The package starts no goroutines and
// decides nothing about media or rooms; cmd maps its values onto the option
// structs of the other packages.
package config
