package local

// WithoutNamespaces is the runtime as it is where the kernel allows none.
func (r *Runtime) WithoutNamespaces() *Runtime {
	probe := r.probe
	probe.Namespaces = false
	return &Runtime{config: r.config, probe: probe}
}
