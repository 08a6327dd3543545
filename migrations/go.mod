module github.com/orchard9/rdev/migrations

go 1.26

toolchain go1.26.10
