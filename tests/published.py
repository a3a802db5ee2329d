"""The published training loop and update rules, restated: what the tests hold minigrad's Solver against.

The source is the Solver and ``optim.py`` of Stanford's CS231n assignments. What is kept to the letter is what can be
observed: names, formulas and the order of their arithmetic, the order of the random draws, the printed lines, the
checkpoint's keys. Nothing here imports minigrad, so that a mistake there cannot hide here.
"""

import pickle

import numpy as np


def sgd(w, dw, config=None):
    config = {} if config is None else config
    config.setdefault("learning_rate", 1e-2)
    w -= config["learning_rate"] * dw
    return w, config


def sgd_momentum(w, dw, config=None):
    config = {} if config is None else config
    config.setdefault("learning_rate", 1e-2)
    config.setdefault("momentum", 0.9)
    old = config.get("velocity", np.zeros_like(w))
    config["velocity"] = config["momentum"] * old - config["learning_rate"] * dw
    return w + config["velocity"], config


def rmsprop(w, dw, config=None):
    config = {} if config is None else config
    for key, value in (("learning_rate", 1e-2), ("decay_rate", 0.99), ("epsilon", 1e-8), ("cache", np.zeros_like(w))):
        config.setdefault(key, value)
    config["cache"] = config["decay_rate"] * config["cache"] + (1 - config["decay_rate"]) * dw**2
    return w - config["learning_rate"] * dw / (np.sqrt(config["cache"]) + config["epsilon"]), config


def adam(w, dw, config=None):
    config = {} if config is None else config
    for key, value in (("learning_rate", 1e-3), ("beta1", 0.9), ("beta2", 0.999), ("epsilon", 1e-8)):
        config.setdefault(key, value)
    for key, value in (("m", np.zeros_like(w)), ("v", np.zeros_like(w)), ("t", 0)):
        config.setdefault(key, value)
    config["t"] += 1
    config["m"] = config["beta1"] * config["m"] + (1 - config["beta1"]) * dw
    mt = config["m"] / (1 - config["beta1"] ** config["t"])
    config["v"] = config["beta2"] * config["v"] + (1 - config["beta2"]) * (dw**2)
    vt = config["v"] / (1 - config["beta2"] ** config["t"])
    return w - config["learning_rate"] * mt / (np.sqrt(vt) + config["epsilon"]), config


RULES = {"sgd": sgd, "sgd_momentum": sgd_momentum, "rmsprop": rmsprop, "adam": adam}

DEFAULTS = {
    "update_rule": "sgd",
    "optim_config": {},
    "lr_decay": 1.0,
    "batch_size": 100,
    "num_epochs": 10,
    "num_train_samples": 1000,
    "num_val_samples": None,
    "checkpoint_name": None,
    "print_every": 10,
    "verbose": True,
}


class Solver:
    """The published loop: draw a batch, step every parameter, measure at the ends of epochs, keep the best."""

    def __init__(self, model, data, **options):
        self.model = model
        for name in ("X_train", "y_train", "X_val", "y_val"):
            setattr(self, name, data[name])
        for name, default in DEFAULTS.items():
            setattr(self, name, options.pop(name, default))
        if options:
            raise ValueError("Unrecognized arguments " + ", ".join(f'"{name}"' for name in options))
        if self.update_rule not in RULES:
            raise ValueError(f'Invalid update_rule "{self.update_rule}"')
        self.update_rule = RULES[self.update_rule]
        self._reset()

    def _reset(self):
        self.epoch, self.best_val_acc, self.best_params = 0, 0, {}
        self.loss_history, self.train_acc_history, self.val_acc_history = [], [], []
        self.optim_configs = {name: dict(self.optim_config) for name in self.model.params}

    def _step(self):
        batch = np.random.choice(self.X_train.shape[0], self.batch_size)
        loss, grads = self.model.loss(self.X_train[batch], self.y_train[batch])
        self.loss_history.append(loss)
        for name, w in self.model.params.items():
            stepped = self.update_rule(w, grads[name], self.optim_configs[name])
            self.model.params[name], self.optim_configs[name] = stepped

    def _save_checkpoint(self):
        if self.checkpoint_name is None:
            return
        keys = "model update_rule lr_decay optim_config batch_size num_train_samples num_val_samples epoch".split()
        keys += ["loss_history", "train_acc_history", "val_acc_history"]
        filename = f"{self.checkpoint_name}_epoch_{self.epoch}.pkl"
        if self.verbose:
            print(f'Saving checkpoint to "{filename}"')
        with open(filename, "wb") as file:
            pickle.dump({key: getattr(self, key) for key in keys}, file)

    def check_accuracy(self, X, y, num_samples=None, batch_size=100):
        N = X.shape[0]
        if num_samples is not None and N > num_samples:
            chosen = np.random.choice(N, num_samples)
            N, X, y = num_samples, X[chosen], y[chosen]
        starts = range(0, N, batch_size)
        predicted = [np.argmax(self.model.loss(X[start : start + batch_size]), axis=1) for start in starts]
        return np.mean(np.hstack(predicted) == y)

    def train(self):
        per_epoch = max(self.X_train.shape[0] // self.batch_size, 1)
        total = self.num_epochs * per_epoch
        for t in range(total):
            self._step()
            if self.verbose and t % self.print_every == 0:
                print(f"(Iteration {t + 1} / {total}) loss: {self.loss_history[-1]:f}")
            epoch_end = (t + 1) % per_epoch == 0
            if epoch_end:
                self.epoch += 1
                for config in self.optim_configs.values():
                    config["learning_rate"] *= self.lr_decay
            if t == 0 or t == total - 1 or epoch_end:
                self._measure()
        self.model.params = self.best_params

    def _measure(self):
        train_acc = self.check_accuracy(self.X_train, self.y_train, num_samples=self.num_train_samples)
        val_acc = self.check_accuracy(self.X_val, self.y_val, num_samples=self.num_val_samples)
        self.train_acc_history.append(train_acc)
        self.val_acc_history.append(val_acc)
        self._save_checkpoint()
        if self.verbose:
            print(f"(Epoch {self.epoch} / {self.num_epochs}) train acc: {train_acc:f}; val_acc: {val_acc:f}")
        if val_acc > self.best_val_acc:
            self.best_val_acc = val_acc
            self.best_params = {name: w.copy() for name, w in self.model.params.items()}
