package local

// WithoutLandlock is the runtime as it is where the kernel has no Landlock.
func (r *Runtime) WithoutLandlock() *Runtime {
	probe := r.probe
	probe.LandlockABI = 0
	return &Runtime{Runner: r.Runner, config: r.config, probe: probe}
}

// WithoutNamespaces is the runtime as it is where the kernel allows none.
func (r *Runtime) WithoutNamespaces() *Runtime {
	probe := r.probe
	probe.Namespaces = false
	return &Runtime{Runner: r.Runner, config: r.config, probe: probe}
}
