module github.com/orchard9/rdev/cmd/rdev

go 1.26.0

require (
	github.com/orchard9/rdev/libs v0.0.0
	github.com/orchard9/rdev/migrations v0.0.0
	github.com/orchard9/rdev/services/audit v0.0.0
	github.com/orchard9/rdev/services/executor v0.0.0
	github.com/orchard9/rdev/services/gateway v0.0.0
	github.com/orchard9/rdev/services/notifier v0.0.0
	github.com/orchard9/rdev/services/provisioner v0.0.0
)

require (
	github.com/google/go-cmp v0.7.0 // indirect
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	github.com/rogpeppe/go-internal v1.16.0 // indirect
	github.com/spf13/cobra v1.10.2 // indirect
	github.com/spf13/pflag v1.0.9 // indirect
)

replace github.com/orchard9/rdev/libs => ../../libs

replace github.com/orchard9/rdev/migrations => ../../migrations

replace github.com/orchard9/rdev/services/audit => ../../services/audit

replace github.com/orchard9/rdev/services/executor => ../../services/executor

replace github.com/orchard9/rdev/services/gateway => ../../services/gateway

replace github.com/orchard9/rdev/services/notifier => ../../services/notifier

replace github.com/orchard9/rdev/services/provisioner => ../../services/provisioner
