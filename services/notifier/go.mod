module github.com/orchard9/rdev/services/notifier

go 1.26.0

require (
	github.com/orchard9/rdev/libs v0.0.0
	github.com/orchard9/rdev/migrations v0.0.0
)

require github.com/standard-webhooks/standard-webhooks/libraries v0.0.1 // indirect

replace github.com/orchard9/rdev/libs => ../../libs

replace github.com/orchard9/rdev/migrations => ../../migrations
