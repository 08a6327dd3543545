package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/libs/contract"
)

// await waits for the end of an operation and keeps a progress line: one that
// changes on a terminal, else one for each change of state.
func (c *cli) await(cmd *cobra.Command, api *client.Client, operation client.Operation, doing string) (client.Operation, error) {
	if operation.State.Ended() {
		return operation, nil
	}
	w := cmd.ErrOrStderr()
	live, style := isTerminal(w) && c.output != "plain", c.style(w)
	began, shown := time.Now(), contract.State("")
	ended, err := api.Wait(cmd.Context(), operation.ID, func(now client.Operation) {
		switch {
		case live:
			fmt.Fprintf(w, "\r\x1b[K%s… %s", doing, style.Dim(fmt.Sprintf("%s, %s", now.State, time.Since(began).Round(time.Second))))
		case now.State != shown && !now.State.Ended():
			fmt.Fprintf(w, "%s… %s\n", doing, now.State)
		}
		shown = now.State
	})
	if live {
		fmt.Fprint(w, "\r\x1b[K")
	}
	if err != nil {
		return ended, &hinted{err, "The operation goes on without us: rdev ops get " + operation.ID}
	}
	return ended, nil
}
