module github.com/orchard9/rdev/services/executor

go 1.26.0

require (
	github.com/orchard9/rdev/libs v0.0.0
	github.com/orchard9/rdev/migrations v0.0.0
)

require (
	github.com/google/go-cmp v0.7.0 // indirect
	golang.org/x/sys v0.50.0 // indirect
)

replace github.com/orchard9/rdev/libs => ../../libs

replace github.com/orchard9/rdev/migrations => ../../migrations
