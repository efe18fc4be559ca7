"""Training by Keras: `FlowModel`, its parts, and running statistics estimated anew."""
