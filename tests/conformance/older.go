//go:build older

// Built with this tag and with older.mod, the program uses the library's first version, which knows no offers.

package main

import (
	"context"
	"errors"

	"github.com/actions/scaleset"
	"github.com/actions/scaleset/listener"
)

const acquires = false

type offer struct{ RunnerRequestID int64 }

func offersIn(*scaleset.RunnerScaleSetMessage) []offer { return nil }

func acquire(context.Context, *scaleset.MessageSessionClient, ...int64) ([]int64, error) {
	return nil, errors.New("this version of the library acquires nothing")
}

func newListener(session *scaleset.MessageSessionClient, config listener.Config, _ *scaler) (*listener.Listener, error) {
	return listener.New(session, config)
}
