"""What is read: sources, `.npy` headers, transforms, order, batch layout. Pure: no process, no shared memory."""
