package render

import "fmt"

// Size is a number of bytes as people say it: 512 B, 4.0 KiB, 1.5 GiB.
func Size(bytes int64) string {
	if bytes < 1024 {
		return fmt.Sprintf("%d B", bytes)
	}
	size, unit := float64(bytes), ""
	for _, unit = range []string{"KiB", "MiB", "GiB"} {
		if size /= 1024; size < 999.95 {
			break
		}
	}
	return fmt.Sprintf("%.1f %s", size, unit)
}
