module m

go 1.26.0

toolchain go1.26.8

tool (
	golang.org/x/tools/cmd/goimports
)

require (
	golang.org/x/tools v0.36.0 // indirect
)
