module github.com/orchard9/rdev/services/gateway

go 1.26

require (
	github.com/orchard9/rdev/libs v0.0.0
	github.com/orchard9/rdev/migrations v0.0.0
)

replace github.com/orchard9/rdev/libs => ../../libs

replace github.com/orchard9/rdev/migrations => ../../migrations
