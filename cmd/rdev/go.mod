module github.com/orchard9/rdev/cmd/rdev

go 1.26.0

require (
	github.com/google/go-cmp v0.7.0
	github.com/orchard9/rdev/libs v0.0.0
	github.com/orchard9/rdev/migrations v0.0.0
	github.com/orchard9/rdev/services/audit v0.0.0
	github.com/orchard9/rdev/services/executor v0.0.0
	github.com/orchard9/rdev/services/gateway v0.0.0
	github.com/orchard9/rdev/services/notifier v0.0.0
	github.com/orchard9/rdev/services/provisioner v0.0.0
	github.com/rogpeppe/go-internal v1.16.0
	github.com/spf13/cobra v1.10.2
	github.com/spf13/pflag v1.0.9
)

require (
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	github.com/klauspost/compress v1.20.3 // indirect
	github.com/nats-io/nats.go v1.55.0 // indirect
	github.com/nats-io/nkeys v0.4.16 // indirect
	github.com/nats-io/nuid v1.0.1 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/sys v0.50.0 // indirect
	golang.org/x/term v0.48.0
)

replace github.com/orchard9/rdev/libs => ../../libs

replace github.com/orchard9/rdev/migrations => ../../migrations

replace github.com/orchard9/rdev/services/audit => ../../services/audit

replace github.com/orchard9/rdev/services/executor => ../../services/executor

replace github.com/orchard9/rdev/services/gateway => ../../services/gateway

replace github.com/orchard9/rdev/services/notifier => ../../services/notifier

replace github.com/orchard9/rdev/services/provisioner => ../../services/provisioner
