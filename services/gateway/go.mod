module github.com/orchard9/rdev/services/gateway

go 1.26.0

require (
	github.com/orchard9/rdev/libs v0.0.0
	github.com/orchard9/rdev/migrations v0.0.0
)

require (
	github.com/coder/websocket v1.8.15 // indirect
	github.com/go-chi/chi/v5 v5.5.0 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/klauspost/compress v1.20.3 // indirect
	github.com/nats-io/nats.go v1.55.0 // indirect
	github.com/nats-io/nkeys v0.4.16 // indirect
	github.com/nats-io/nuid v1.0.1 // indirect
	github.com/prometheus/client_golang v1.25.0 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/sys v0.50.0 // indirect
)

replace github.com/orchard9/rdev/libs => ../../libs

replace github.com/orchard9/rdev/migrations => ../../migrations
